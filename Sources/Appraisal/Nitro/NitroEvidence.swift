internal import Keys
internal import RATS

/// Evidence of a Nitro enclave: the attestation document as the NSM gives it, a COSE_Sign1 (RFC
/// 9052 section 4.2) with or without its tag 18.
struct NitroEvidence: RefusingEvidence {
    static let format = EvidenceFormat.nitro

    let document: NitroDocument
    /// The key that signed; nobody has vouched for it yet.
    let certificate: Certificate

    /// Checks structure, binding and signature, in the order of appraisal.md.
    static func authenticate(
        _ evidence: Evidence,
        expected: Appraiser.ExpectedBinding
    ) throws(Refusal) -> AuthenticEvidence {
        let (nitro, envelope) = try read(evidence.bytes)
        try nitro.checkBinding(expected)
        try nitro.checkSignature(envelope)
        return AuthenticEvidence(
            format: .nitro,
            index: evidence.index,
            claims: nitro.document.claims,
            detail: .nitro(nitro)
        )
    }

    /// Checks structure and signature of a document that others bound in their own way.
    static func unbound(_ bytes: [UInt8]) throws(Refusal) -> NitroEvidence {
        let (nitro, envelope) = try read(bytes)
        try nitro.checkSignature(envelope)
        return nitro
    }

    private struct Envelope {
        let protected: [UInt8]
        let payload: [UInt8]
        let signature: [UInt8]

        // Sig_structure without external data, RFC 9052 section 4.4.
        var signed: [UInt8] {
            CBORValue.array([
                .text("Signature1"), .bytes(protected), .bytes([]), .bytes(payload),
            ]).encoded()
        }
    }

    private static func read(_ bytes: [UInt8]) throws(Refusal) -> (NitroEvidence, Envelope) {
        guard bytes.count <= NitroDocument.maxSize else {
            throw NitroDocument.malformed(
                "document", "at most \(NitroDocument.maxSize) bytes", "\(bytes.count)")
        }
        let envelope = try envelope(bytes)
        let document = try NitroDocument(envelope.payload)
        do throws(KeyError) {
            let certificate = try Certificate.read(der: document.certificate)
            return (NitroEvidence(document: document, certificate: certificate), envelope)
        } catch {
            throw refusal(
                "nitro.certificate.malformed", .evidence, "certificate", "X.509 in DER",
                error.description)
        }
    }

    private static func envelope(_ bytes: [UInt8]) throws(Refusal) -> Envelope {
        var value: CBORValue
        do throws(CBORError) {
            value = try CBORDecoder.decode(bytes, rules: .anyOrder)
        } catch {
            throw NitroDocument.malformed("document", "COSE_Sign1", error.description)
        }
        if case .tagged(18, let inner) = value { value = inner }
        guard let items = value.items, items.count == 4, let protected = items[0].byteString,
            items[1] == .map([]), let payload = items[2].byteString,
            let signature = items[3].byteString
        else { throw NitroDocument.malformed("document", "COSE_Sign1 with no open header") }
        // ES384 is −35 (RFC 9053 section 2.1); any other header might change what is signed.
        let header = CBORValue.map([.init(.unsigned(1), .negative(34))])
        guard protected == header.encoded() else {
            throw refusal(
                "nitro.algorithm", .evidence, "protected header", "alg ES384 and nothing else",
                Hex.encode(Array(protected.prefix(64))))
        }
        return Envelope(protected: protected, payload: payload, signature: signature)
    }

    private func checkBinding(_ expected: Appraiser.ExpectedBinding) throws(Refusal) {
        guard let nitro = expected.nitro else {
            throw NitroEvidence.refusal(
                "nitro.binding.missing", .binding, "nonce and public_key", "an expectation", "none",
                "this way of verifying has nothing to compare a Nitro document with")
        }
        let pairs: [(String, [UInt8], [UInt8]?)]
        switch nitro {
        case .channel(let nonce, let publicKey):
            pairs = [
                ("user_data", expected.reportData, document.userData),
                ("nonce", nonce, document.nonce), ("public_key", publicKey, document.publicKey),
            ]
        case .userDataAlone(let userData): pairs = [("user_data", userData, document.userData)]
        }
        for (name, wanted, found) in pairs {
            guard let found, ConstantTime.equal(found, wanted) else {
                throw NitroEvidence.refusal(
                    "nitro.\(name).mismatch", .binding, name, Hex.encode(wanted),
                    found.map(Hex.encode) ?? "none", "the document is not of this connection")
            }
        }
    }

    private func checkSignature(_ envelope: Envelope) throws(Refusal) {
        guard certificate.publicKey.algorithm == .p384 else {
            throw NitroEvidence.refusal(
                "nitro.key", .evidence, "key of the certificate", "P-384",
                "\(certificate.publicKey.algorithm)")
        }
        let holds = certificate.publicKey.verifies(
            raw: envelope.signature,
            over: envelope.signed,
            digest: .sha384
        )
        guard holds else {
            throw NitroEvidence.refusal(
                "nitro.signature.invalid", .evidence, "signature",
                "one by the document's certificate", "another", "the document was changed")
        }
    }
}
