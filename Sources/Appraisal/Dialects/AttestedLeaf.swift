public import Keys
public import RATS

/// A certificate that carries Evidence about its own key: the static tier.
///
/// The Evidence covers the key and nothing of a connection, so that whoever has the key can use it
/// anywhere (protocol.md, "Tiers").
public struct AttestedLeaf: Sendable {
    /// The certificate.
    public let certificate: Certificate
    /// The Evidence in it, in every form that it has; at least one, the most telling first.
    public let carried: [CarriedEvidence]

    /// Reads a certificate, checks it at the Unix time `now`, and that each piece of Evidence in it
    /// covers its key.
    public init(_ certificate: Certificate, now: Int64) throws(Refusal) {
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
        var carried: [CarriedEvidence] = []
        for dialect in Dialect.inCertificates {
            for identifier in dialect.identifiers {
                guard let content = certificate.extension(identifier) else { continue }
                carried.append(
                    try AttestedLeaf.read(content, dialect, identifier, certificate))
            }
        }
        if let document = try AttestedLeaf.document(in: certificate) { carried.append(document) }
        guard !carried.isEmpty else { throw AttestedLeaf.none }
        self.carried = carried
    }

    /// Refuses a certificate without Evidence.
    public static var none: Refusal {
        refusal(
            "certificate.evidence.none", "extensions",
            Dialect.inCertificates.map(\.rawValue).joined(separator: " or "), "no Evidence",
            "verify the server itself, or give its Evidence as a file")
    }

    /// Whether there is any Evidence in the certificate, good or bad.
    public static func isOne(_ certificate: Certificate) -> Bool {
        Dialect.inCertificates.flatMap(\.identifiers)
            .contains { certificate.extension($0) != nil } || hasDocument(certificate)
    }

    private static func read(
        _ content: [UInt8], _ dialect: Dialect, _ place: String, _ certificate: Certificate
    ) throws(Refusal) -> CarriedEvidence {
        typealias Formula = CarriedEvidence.Formula
        switch dialect {
        case .cmw: return try CMWExtension.read(content, place, certificate)
        case .ccc: return try CCCEvidence.read(content, place, certificate)
        case .gramine:
            // rats-tls of 2021 hashes the bare key of the certificate, all others the whole SPKI.
            return try CarriedEvidence(
                dialect, place, try ForeignPiece(quote: content),
                [
                    Formula("SHA-256(SubjectPublicKeyInfo)", Digest.sha256(certificate.spki)),
                    Formula(
                        "SHA-256(subjectPublicKey)", Digest.sha256(certificate.publicKey.bare)),
                ])
        case .dstackVersioned:
            return try DstackAttestation(try inside(content, tag: 0x04, dialect))
                .carried(place, certificate)
        case .dstack: return try DstackAttestation.older(content, place, certificate)
        case .lexe:
            var sequence = DERReader(content)
            guard var list = try? sequence.next(0x30).inside, let first = try? list.next(0x04),
                certificate.publicKey.algorithm == .ed25519
            else { throw malformed(dialect) }
            return try CarriedEvidence(
                dialect, place, try ForeignPiece(quote: first.content),
                [Formula("the Ed25519 key", certificate.publicKey.bare)])
        case .evervault, .flashbots, .tinfoil2, .tinfoil3, .near: throw malformed(dialect)
        }
    }

    private static func document(
        in certificate: Certificate
    ) throws(Refusal) -> CarriedEvidence? {
        for bytes in documents(in: certificate) {
            return try CarriedEvidence(
                .evervault, "subjectAltName dNSName", try ForeignPiece(document: bytes),
                [.init("SubjectPublicKeyInfo", certificate.spki)])
        }
        return nil
    }

    private static func hasDocument(_ certificate: Certificate) -> Bool {
        !documents(in: certificate).isEmpty
    }

    private static func documents(in certificate: Certificate) -> [[UInt8]] {
        guard let names = certificate.extension("2.5.29.17") else { return [] }
        var outer = DERReader(names)
        guard var list = try? outer.next(0x30).inside else { return [] }
        var found: [[UInt8]] = []
        while !list.isAtEnd {
            guard let name = try? list.next() else { return found }
            // dNSName is [2]; a document has some thousand bytes, a host's label at most 63.
            guard name.tag == 0x82, name.content.count > 1_000 else { continue }
            let label = name.content.prefix { $0 != UInt8(ascii: ".") }
            guard let bytes = Hex.decode(String(decoding: label, as: UTF8.self)) else { continue }
            found.append(bytes)
        }
        return found
    }

    /// The content of the one element with `tag` in an extension.
    static func inside(
        _ content: [UInt8], tag: UInt8, _ dialect: Dialect
    ) throws(Refusal) -> [UInt8] {
        var reader = DERReader(content)
        guard let element = try? reader.next(tag), reader.isAtEnd else { throw malformed(dialect) }
        return element.content
    }

    static func malformed(_ dialect: Dialect) -> Refusal {
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
