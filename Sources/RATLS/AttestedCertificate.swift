internal import Appraisal
public import Keys
public import RATS

/// The leaf certificate of this process: self-signed, with Evidence over its key inside.
///
/// Two forms of the same Evidence, for verifiers of the static tier: tagged evidence of the CCC's
/// interoperable RA-TLS (X.509 2.23.133.5.4.9) and id-pe-cmw (RFC 9999, 1.3.6.1.5.5.7.1.35).
/// Both cover the key as `StaticBinding` says.
public enum AttestedCertificate {
    /// The object identifier of the CCC's tagged evidence.
    public static let taggedEvidence = "2.23.133.5.4.9"
    /// The object identifier id-pe-cmw.
    public static let cmw = "1.3.6.1.5.5.7.1.35"
    /// The tag of `[quote, claims]` in tagged evidence.
    static let tag: UInt64 = 60_000

    /// Asks `attester` for Evidence over `key`, and makes the certificate for both.
    ///
    /// `now` is Unix time and `lifetime` in seconds. Blocks for one quote. Only for keys generated
    /// in this process: Evidence over a provided key would vouch for whoever else has it.
    public static func make(
        attester: any Attester,
        key: PrivateKey,
        commonName: String = "ratel.invalid",
        now: Int64,
        lifetime: Int64
    ) throws(Refusal) -> Certificate {
        let claims = StaticBinding.claims(spki: key.spki)
        let evidence = try attester.quote(StaticBinding(claims: claims).challenge)
        guard let first = evidence.first(where: { $0.kind.carriesReportData }) ?? evidence.first
        else { throw failed("no Evidence") }
        let tagged = CBORValue.tagged(tag, .array([.bytes(first.bytes), .bytes(claims)]))
        let collection = DER.octetString(CMW.encode(evidence: evidence).encoded())
        do throws(KeyError) {
            return try LeafCertificate.make(
                key: key,
                commonName: commonName,
                now: now,
                lifetime: lifetime,
                extensions: [
                    .init(identifier: taggedEvidence, content: tagged.encoded()),
                    .init(identifier: cmw, content: collection),
                ]
            )
        } catch {
            throw failed(error.description)
        }
    }

    /// A certificate for `key` with no Evidence in it, for a side that does not attest.
    public static func makePlain(
        key: PrivateKey,
        commonName: String = "ratel.invalid",
        now: Int64,
        lifetime: Int64
    ) throws(Refusal) -> Certificate {
        do throws(KeyError) {
            return try LeafCertificate.make(
                key: key,
                commonName: commonName,
                now: now,
                lifetime: lifetime
            )
        } catch {
            throw failed(error.description)
        }
    }

    /// The collection in id-pe-cmw of a certificate that `make` made, as CBOR; nil where there is
    /// none.
    public static func collection(in certificate: Certificate) -> [UInt8]? {
        guard let content = certificate.extension(cmw) else { return nil }
        var reader = DERReader(content)
        guard let element = try? reader.next(0x04), reader.isAtEnd else { return nil }
        return element.content
    }

    private static func failed(_ got: String) -> Refusal {
        Refusal(
            "attester.certificate.failed",
            .attestation,
            field: "leaf certificate",
            expected: "a certificate",
            got: got,
            remedy: "report this"
        )
    }
}
