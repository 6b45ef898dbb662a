import Keys

/// An OCSP answer written byte by byte: RFC 6960 section 4.2.1.
struct FakeStatusAnswer {
    enum Status { case good, revoked(UInt8?), unknown }

    var status = Status.good
    var serial: UInt8
    /// Name and key of the issuer, by whom the answer is signed unless `signer` is another.
    var issuer: String
    var issuerKey: PrivateKey
    var signer: PrivateKey?
    /// A responder's certificate, and its name.
    var responder: (name: String, certificate: [UInt8])?
    var from = "20260101000000Z"
    var to: String? = "20280101000000Z"
    var outcome: UInt8 = 0
    var digest = Digest.sha256
    /// What the answer says it is signed with.
    var algorithm = FakePKI.algorithm

    func encoded() throws -> [UInt8] {
        let data = DER.sequence([
            DER.tagged(0xA1, FakePKI.name(responder?.name ?? issuer)), time(from),
            DER.sequence([single]),
        ])
        let key = signer ?? issuerKey
        let signature = try key.sign(data, digest: .sha384)
        var parts = [data, algorithm, DER.bitString(signature)]
        if let responder { parts.append(DER.tagged(0xA0, DER.sequence([responder.certificate]))) }
        let bytes = DER.sequence([
            DER.objectIdentifier("1.3.6.1.5.5.7.48.1.1"), DER.octetString(DER.sequence(parts)),
        ])
        return DER.sequence([[0x0A, 1, outcome], DER.tagged(0xA0, bytes)])
    }

    private var single: [UInt8] {
        let name = digest == .sha256 ? "2.16.840.1.101.3.4.2.1" : "2.16.840.1.101.3.4.2.2"
        // A P-384 point is the last 97 bytes of its SubjectPublicKeyInfo.
        let identifier = DER.sequence([
            DER.sequence([DER.objectIdentifier(name), DER.null]),
            DER.octetString(digest.hash(FakePKI.name(issuer))),
            DER.octetString(digest.hash(Array(issuerKey.spki.suffix(97)))),
            DER.integer([serial]),
        ])
        let meaning: [UInt8] =
            switch status {
            case .good: [0x80, 0]
            case .unknown: [0x82, 0]
            case .revoked(let reason):
                DER.tagged(
                    0xA1, time(from) + (reason.map { DER.tagged(0xA0, [0x0A, 1, $0]) } ?? []))
            }
        return DER.sequence(
            [identifier, meaning, time(from)] + (to.map { [DER.tagged(0xA0, time($0))] } ?? []))
    }

    private func time(_ text: String) -> [UInt8] { DER.tagged(0x18, Array(text.utf8)) }
}
