internal import Keys
internal import RATS

/// Evidence of an SEV-SNP guest: a CBOR map.
///
/// | key | value |
/// |---|---|
/// | 1 | ATTESTATION_REPORT, 1184 bytes |
/// | 2 | array of X.509 certificates, DER: VCEK or VLEK, ASK or ASVK, ARK; may be absent |
/// | 3 | certificate revocation list of the ARK, DER; may be absent |
///
/// Certificates and lists may also come as Endorsements of `application/pkix-cert` and
/// `application/pkix-crl`.
struct SNPEvidence: RefusingEvidence {
    static let format = EvidenceFormat.snp

    /// VCEK, ASK and ARK, those of a VLEK, and as many again that another product's cache left.
    static let maxCertificates = 12

    let report: SNPReport
    /// The key that signed; nobody has vouched for it yet.
    let key: Certificate
    let certificates: [Certificate]
    let revocationLists: [[UInt8]]

    /// Checks structure, binding and signature, in the order of appraisal.md.
    static func authenticate(
        _ evidence: Evidence,
        endorsements: [Endorsement],
        expected: Appraiser.ExpectedBinding
    ) throws(Refusal) -> AuthenticEvidence {
        let fields = try fields(evidence.bytes)
        let snp = try SNPEvidence(
            report: fields.report,
            certificates: fields.certificates,
            revocationList: fields.revocationList,
            endorsements: endorsements,
            expected: expected.reportData
        )
        return AuthenticEvidence(
            format: .snp,
            index: evidence.index,
            claims: snp.claims,
            detail: .snp(snp)
        )
    }

    /// Takes the parts apart from their envelope; without an expectation, REPORT_DATA is for the
    /// caller to compare.
    init(
        report bytes: [UInt8],
        certificates sent: [[UInt8]],
        revocationList: [UInt8]?,
        endorsements: [Endorsement] = [],
        expected: [UInt8]? = nil
    ) throws(Refusal) {
        report = try SNPReport(bytes)
        if let expected, !ConstantTime.equal(report.reportData, expected) {
            throw SNPEvidence.refusal(
                "snp.report_data.mismatch",
                .binding,
                "REPORT_DATA",
                Hex.encode(expected),
                Hex.encode(report.reportData),
                "the report is not of this connection"
            )
        }
        certificates = try SNPEvidence.certificates(sent, endorsements)
        var lists = endorsements.filter { $0.mediaType == Endorsement.revocationListType }.map(
            \.bytes)
        if let revocationList { lists.insert(revocationList, at: 0) }
        revocationLists = lists
        key = try SNPEvidence.key(of: report, among: certificates)
    }

    static func fields(
        _ bytes: [UInt8]
    ) throws(Refusal) -> (report: [UInt8], certificates: [[UInt8]], revocationList: [UInt8]?) {
        do throws(CBORError) {
            let fields = try CBORFields(decoding: bytes, allowed: [1, 2, 3])
            var certificates: [[UInt8]] = []
            if fields.optional(2) != nil {
                for item in try fields.array(2, limit: maxCertificates) {
                    guard let der = item.byteString else { throw CBORError(.wrongType, offset: 2) }
                    certificates.append(der)
                }
            }
            return (try fields.bytes(1), certificates, try fields.optionalBytes(3))
        } catch {
            throw SNPReport.malformed(
                "evidence", "a map with report and certificates", error.description)
        }
    }

    // Those in the Evidence must be certificates; Endorsements may be for other Evidence.
    private static func certificates(
        _ sent: [[UInt8]],
        _ endorsements: [Endorsement]
    ) throws(Refusal) -> [Certificate] {
        var certificates: [Certificate] = []
        for der in sent {
            do throws(KeyError) {
                certificates.append(try Certificate.read(der: der))
            } catch {
                throw refusal(
                    "snp.certificate.malformed", .evidence, "certificates", "X.509 in DER",
                    error.description)
            }
        }
        for endorsement in endorsements where endorsement.mediaType == Endorsement.certificateType {
            guard let certificate = try? Certificate.read(der: endorsement.bytes) else { continue }
            certificates.append(certificate)
        }
        return certificates
    }

    // AMD's keys for reports are the P-384 keys among them: ARK, ASK and ASVK are RSA.
    private static func key(
        of report: SNPReport,
        among certificates: [Certificate]
    ) throws(Refusal) -> Certificate {
        let candidates = certificates.filter {
            $0.publicKey.algorithm == .p384 && SNPKeyCertificate.isOne($0)
        }
        guard !candidates.isEmpty else {
            throw refusal(
                "snp.key.missing",
                .evidence,
                "certificate of the signing key",
                report.signingKey == .vcek ? "a VCEK" : "a VLEK",
                "none",
                "have the peer send its certificates, or fetch the VCEK from AMD's KDS"
            )
        }
        let signed = report.signed
        let signature = report.signature
        let key = candidates.first {
            $0.publicKey.verifies(raw: signature, over: signed, digest: .sha384)
        }
        guard let key else {
            throw refusal(
                "snp.signature.invalid",
                .evidence,
                "signature",
                "one by \(candidates.map(\.subject).joined(separator: " or "))",
                "another",
                "the report was changed, or is of another chip or firmware than the certificate"
            )
        }
        return key
    }

    var claims: Claims {
        var claims = report.claims
        let endorsed = SNPKeyCertificate(key)
        claims.set("endorsement.kind", .text(report.signingKey == .vcek ? "VCEK" : "VLEK"))
        claims.set("endorsement.product", .text(endorsed.productName ?? ""))
        claims.set("endorsement.issuer", .text(key.issuer))
        claims.set("endorsement.not_before", .text(UTCTime.text(key.notBefore)))
        claims.set("endorsement.not_after", .text(UTCTime.text(key.notAfter)))
        for (name, value) in endorsed.levels {
            if let value { claims.set("endorsement.\(name)", .number(UInt64(value))) }
        }
        if let hardware = endorsed.hardwareID { claims.set("endorsement.hwid", .bytes(hardware)) }
        if let provider = endorsed.providerID { claims.set("endorsement.csp_id", .text(provider)) }
        return claims
    }
}
