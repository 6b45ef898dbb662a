internal import Keys
internal import RATS

/// Evidence of interoperable RA-TLS: CBOR tag 60000 `[quote, claims]`, report_data the hash of the
/// claims, and in these the hash of the key (CCC Attestation, "Interoperable RA-TLS").
enum CCCEvidence {
    /// Tags of the TCG's DICE Attestation Architecture: ECDSA quote, and legacy SGX quote.
    private static let tags: Set<UInt64> = [60_000, 60_002]

    static func read(
        _ content: [UInt8], _ place: String, _ certificate: Certificate
    ) throws(Refusal) -> AttestedLeaf.Carried {
        guard let value = try? CBORDecoder.decode(content, rules: .anyOrder),
            case .tagged(let tag, let inner) = value, tags.contains(tag), let items = inner.items,
            items.count == 2, let quote = items[0].byteString, let claims = items[1].byteString
        else { throw AttestedLeaf.malformed(.ccc) }
        let reportData = try DCAPQuote(quote).reportData
        let expected = Digest.sha256(claims) + [UInt8](repeating: 0, count: 32)
        guard ConstantTime.equal(reportData, expected) else {
            throw AttestedLeaf.refusal(
                "certificate.binding.claims", "report_data", Hex.encode(expected),
                Hex.encode(reportData), "the claims beside the quote are not those it covers")
        }
        try checkKey(claims, certificate)
        return AttestedLeaf.Carried(
            dialect: .ccc, place: place,
            content: .quote(try DCAPQuote(quote), bytes: quote),
            formula: "report_data = SHA-256(claims), pubkey-hash = hash of SubjectPublicKeyInfo")
    }

    // `pubkey-hash` is CBOR in a byte string: [number of the hash algorithm, hash].
    private static func checkKey(
        _ claims: [UInt8], _ certificate: Certificate
    ) throws(Refusal) {
        let digests: [UInt64: Digest] = [1: .sha256, 7: .sha384, 8: .sha512]
        guard let map = try? CBORDecoder.decode(claims, rules: .anyOrder),
            let entries = map.entries,
            let encoded = entries.first(where: { $0.key.textString == "pubkey-hash" })?
                .value.byteString,
            let pair = (try? CBORDecoder.decode(encoded, rules: .anyOrder))?.items,
            pair.count == 2, let number = pair[0].number, let digest = digests[number],
            let found = pair[1].byteString
        else { throw AttestedLeaf.malformed(.ccc) }
        let expected = digest.hash(certificate.spki)
        guard ConstantTime.equal(found, expected) else {
            throw AttestedLeaf.refusal(
                "certificate.binding.key", "pubkey-hash", Hex.encode(expected), Hex.encode(found),
                "the Evidence is of another key: it was copied into this certificate")
        }
    }
}
