import Keys

/// Certificates and revocation lists written byte by byte, under keys made for one test.
struct FakePKI {
    /// What a certificate says; a test changes one thing at a time.
    struct Template: Sendable {
        var subject: String
        var issuer: String
        var serial: UInt8 = 1
        var from = "260101000000Z"
        var to = "280101000000Z"
        var isAuthority = false
        /// Content of basicConstraints for an authority.
        var constraints = DER.sequence([[1, 1, 0xFF]])
        /// keyCertSign and cRLSign for an authority, digitalSignature for others.
        var usage: UInt8?
        var extensions: [(String, [UInt8])] = []
        /// The same, marked critical.
        var criticalExtensions: [(String, [UInt8])] = []
    }

    /// 2027-01-15, inside the validity that templates have.
    static let now: Int64 = 1_800_000_000

    static func certificate(
        _ template: Template,
        of key: PrivateKey,
        by signer: PrivateKey
    ) throws -> [UInt8] {
        let usage = template.usage ?? (template.isAuthority ? 0x06 : 0x80)
        let basic = template.isAuthority ? template.constraints : DER.sequence([])
        let standard = [
            critical("2.5.29.19", basic),
            critical("2.5.29.15", [3, 2, usage == 0x80 ? 7 : 1, usage]),
        ]
        let others =
            template.extensions.map {
                DER.sequence([DER.objectIdentifier($0.0), DER.octetString($0.1)])
            } + template.criticalExtensions.map { critical($0.0, $0.1) }
        return try sign(
            [
                DER.tagged(0xA0, DER.integer([2])), DER.integer([template.serial]), algorithm,
                name(template.issuer),
                DER.sequence([time(template.from), time(template.to)]),
                name(template.subject), key.spki,
                DER.tagged(0xA3, DER.sequence(standard + others)),
            ],
            by: signer
        )
    }

    static func revocationList(
        issuer: String,
        serials: [UInt8],
        from: String = "260101000000Z",
        to: String = "280101000000Z",
        by signer: PrivateKey
    ) throws -> [UInt8] {
        let revoked = serials.map { DER.sequence([DER.integer([$0]), time("260101000000Z")]) }
        let number = DER.sequence([
            DER.objectIdentifier("2.5.29.20"), DER.octetString(DER.integer([1])),
        ])
        return try sign(
            [DER.integer([1]), algorithm, name(issuer), time(from), time(to)]
                + (revoked.isEmpty ? [] : [DER.sequence(revoked)])
                + [DER.tagged(0xA0, DER.sequence([number]))],
            by: signer
        )
    }

    static func sign(_ parts: [[UInt8]], by signer: PrivateKey) throws -> [UInt8] {
        let body = DER.sequence(parts)
        let signature = try signer.sign(body, digest: .sha384)
        return DER.sequence([body, algorithm, DER.bitString(signature)])
    }

    // ecdsa-with-SHA384, RFC 5758 section 3.2.
    static let algorithm = DER.sequence([DER.objectIdentifier("1.2.840.10045.4.3.3")])

    /// With no common name where `common` is empty.
    static func name(_ common: String) -> [UInt8] {
        let organisation = attribute("2.5.4.10", "Test")
        return DER.sequence(
            common.isEmpty ? [organisation] : [organisation, attribute("2.5.4.3", common)])
    }

    private static func attribute(_ identifier: String, _ value: String) -> [UInt8] {
        DER.tagged(
            0x31,
            DER.sequence([
                DER.objectIdentifier(identifier), DER.tagged(0x0C, Array(value.utf8)),
            ])
        )
    }

    private static func time(_ text: String) -> [UInt8] { DER.tagged(0x17, Array(text.utf8)) }

    private static func critical(_ identifier: String, _ content: [UInt8]) -> [UInt8] {
        DER.sequence([
            DER.objectIdentifier(identifier), [1, 1, 0xFF], DER.octetString(content),
        ])
    }
}
