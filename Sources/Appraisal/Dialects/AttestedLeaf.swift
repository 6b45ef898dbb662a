internal import Keys
internal import RATS

/// A certificate that carries Evidence about its own key: the static tier.
///
/// The Evidence covers the key and nothing of a connection, so that whoever has the key can use it
/// anywhere (protocol.md, "Tiers").
struct AttestedLeaf {
    /// One piece of Evidence in it.
    struct Carried {
        enum Content {
            case quote(DCAPQuote, bytes: [UInt8])
            case nitro(NitroEvidence)
        }

        let dialect: CertificateDialect
        /// Where it is: an object identifier, or the name of a field.
        let place: String
        let content: Content
        /// By which formula the Evidence covers the key.
        let formula: String
    }

    let certificate: Certificate
    let carried: [Carried]

    /// Reads a certificate, checks it at the Unix time `now`, and that each piece of Evidence in it
    /// covers its key.
    init(_ certificate: Certificate, now: Int64) throws(Refusal) {
        self.certificate = certificate
        guard certificate.notBefore <= now, now <= certificate.notAfter else {
            throw AttestedLeaf.refusal(
                "certificate.expired", "validity", "current at \(UTCTime.text(now))",
                "\(UTCTime.text(certificate.notBefore)) to \(UTCTime.text(certificate.notAfter))",
                "have the peer make a new certificate")
        }
        // An issued one is for its issuer to answer for; what ties it here is the Evidence alone.
        if certificate.subject == certificate.issuer, !certificate.isSelfSigned {
            throw AttestedLeaf.refusal(
                "certificate.signature", "signature", "one by its own key", "another",
                "the certificate was changed")
        }
        var carried: [Carried] = []
        for dialect in CertificateDialect.allCases {
            for identifier in dialect.identifiers {
                guard let content = certificate.extension(identifier) else { continue }
                carried.append(
                    try AttestedLeaf.read(content, dialect, identifier, certificate))
            }
        }
        if let document = try AttestedLeaf.document(in: certificate) { carried.append(document) }
        guard !carried.isEmpty else {
            let known = CertificateDialect.unread.first { certificate.extension($0.0) != nil }
            throw AttestedLeaf.refusal(
                known == nil ? "certificate.evidence.none" : "certificate.dialect.unread",
                "extensions",
                CertificateDialect.allCases.map(\.rawValue).joined(separator: " or "),
                known.map { "\($0.1), \($0.0)" } ?? "no Evidence",
                "verify the server itself, or give its Evidence as a file")
        }
        self.carried = carried
    }

    private static func read(
        _ content: [UInt8], _ dialect: CertificateDialect, _ place: String,
        _ certificate: Certificate
    ) throws(Refusal) -> Carried {
        switch dialect {
        case .ccc: return try CCCEvidence.read(content, place, certificate)
        case .gramine:
            // rats-tls of 2021 hashes the bare key of the certificate, all others the whole SPKI.
            return try quote(
                content, dialect, place,
                [
                    ("SHA-256(SubjectPublicKeyInfo)", Digest.sha256(certificate.spki)),
                    ("SHA-256(subjectPublicKey)", Digest.sha256(certificate.publicKey.bare)),
                ])
        case .dstack:
            let quote = try inside(content, tag: 0x04, dialect)
            let covered = Array("ratls-cert:".utf8) + certificate.spki
            return try AttestedLeaf.quote(
                quote, dialect, place,
                [("SHA-512(\"ratls-cert:\" ‖ SubjectPublicKeyInfo)", Digest.sha512(covered))])
        case .lexe:
            var sequence = DERReader(content)
            guard var list = try? sequence.next(0x30).inside, let first = try? list.next(0x04)
            else { throw malformed(dialect) }
            guard certificate.publicKey.algorithm == .ed25519 else { throw malformed(dialect) }
            return try quote(
                first.content, dialect, place, [("the Ed25519 key", certificate.publicKey.bare)])
        case .evervault: throw malformed(dialect)
        }
    }

    /// A quote whose report_data is one of `formulas`, zeros behind.
    static func quote(
        _ bytes: [UInt8], _ dialect: CertificateDialect, _ place: String,
        _ formulas: [(name: String, value: [UInt8])]
    ) throws(Refusal) -> Carried {
        let quote = try DCAPQuote(bytes)
        let found = formulas.first { formula in
            let zeros = [UInt8](repeating: 0, count: 64 - formula.value.count)
            return !formula.value.isEmpty
                && ConstantTime.equal(quote.reportData, formula.value + zeros)
        }
        guard let found else {
            throw refusal(
                "certificate.binding.key", "report_data",
                formulas.map { "\($0.name) = \(Hex.encode($0.value))" }.joined(separator: " or "),
                Hex.encode(quote.reportData),
                "the Evidence is of another key: it was copied into this certificate")
        }
        return Carried(
            dialect: dialect, place: place, content: .quote(quote, bytes: bytes),
            formula: "report_data = " + found.name)
    }

    private static func document(in certificate: Certificate) throws(Refusal) -> Carried? {
        guard let names = certificate.extension("2.5.29.17") else { return nil }
        var outer = DERReader(names)
        guard var list = try? outer.next(0x30).inside else { return nil }
        while !list.isAtEnd {
            guard let name = try? list.next() else { return nil }
            // dNSName is [2]; a document has some thousand bytes, a host's label at most 63.
            guard name.tag == 0x82, name.content.count > 1_000 else { continue }
            let label = name.content.prefix { $0 != UInt8(ascii: ".") }
            guard let bytes = Hex.decode(String(decoding: label, as: UTF8.self)) else { continue }
            let nitro = try NitroEvidence.unbound(bytes)
            guard let data = nitro.document.userData,
                ConstantTime.equal(data, certificate.spki)
            else {
                throw refusal(
                    "certificate.binding.key", "user_data", Hex.encode(certificate.spki),
                    nitro.document.userData.map(Hex.encode) ?? "none",
                    "the document is of another key: it was copied into this certificate")
            }
            return Carried(
                dialect: .evervault, place: "subjectAltName dNSName", content: .nitro(nitro),
                formula: "user_data = SubjectPublicKeyInfo")
        }
        return nil
    }

    private static func inside(
        _ content: [UInt8], tag: UInt8, _ dialect: CertificateDialect
    ) throws(Refusal) -> [UInt8] {
        var reader = DERReader(content)
        guard let element = try? reader.next(tag), reader.isAtEnd else { throw malformed(dialect) }
        return element.content
    }

    static func malformed(_ dialect: CertificateDialect) -> Refusal {
        refusal(
            "certificate.malformed", "Evidence in the certificate",
            "as \(dialect.rawValue) writes it", "something else", "update the peer")
    }

    static func refusal(
        _ code: String, _ field: String, _ expected: String, _ got: String, _ remedy: String
    ) -> Refusal {
        Refusal(
            code, code.contains("binding") ? .binding : .evidence, kind: "certificate",
            field: field, expected: expected, got: got, remedy: remedy)
    }
}
