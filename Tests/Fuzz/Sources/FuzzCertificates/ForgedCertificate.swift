import Keys

/// Certificates around extensions that the fuzzer wrote; no signature on them holds.
public enum ForgedCertificate {
    /// A certificate on P-256 with these extensions, or `nil` where OpenSSL refuses it.
    public static func with(_ extensions: [(identifier: String, content: [UInt8])]) -> Certificate?
    {
        let algorithm = DER.sequence([DER.objectIdentifier("1.2.840.10045.4.3.2")])
        let validity = DER.sequence([
            DER.tagged(0x17, Array("260101000000Z".utf8)),
            DER.tagged(0x17, Array("360101000000Z".utf8)),
        ])
        let list = extensions.map { entry in
            DER.sequence([
                DER.objectIdentifier(entry.identifier), DER.octetString(entry.content),
            ])
        }
        var parts = [
            DER.tagged(0xA0, DER.integer([2])), DER.integer([1]), algorithm, DER.sequence([]),
            validity, DER.sequence([]), key,
        ]
        if !list.isEmpty { parts.append(DER.tagged(0xA3, DER.sequence(list))) }
        let signature = DER.sequence([DER.integer([1]), DER.integer([1])])
        let der = DER.sequence([DER.sequence(parts), algorithm, DER.bitString(signature)])
        return try? Certificate(der: der)
    }

    /// The base point of P-256, SEC 2 section 2.4.2, as a SubjectPublicKeyInfo.
    private static let key = DER.sequence([
        DER.sequence([
            DER.objectIdentifier("1.2.840.10045.2.1"), DER.objectIdentifier("1.2.840.10045.3.1.7"),
        ]),
        DER.bitString(
            Hex.decode(
                "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
                    + "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
            ) ?? []
        ),
    ])
}
