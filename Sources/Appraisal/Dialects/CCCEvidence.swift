internal import Keys
internal import RATS

/// Evidence of interoperable RA-TLS: CBOR tag 60000 `[Evidence, claims]`, report_data the hash of
/// the claims, and in these the hash of the key (CCC Attestation, "Interoperable RA-TLS").
///
/// The specification knows quotes of Intel's under tag 60000, and what SGX had before under 60002;
/// 60001 is a report for the same machine, which nobody else can check. Ratel writes Evidence of
/// other kinds under 60000 as well, and reads its own.
enum CCCEvidence {
    private static let quotes: UInt64 = 60_000
    private static let legacyQuotes: UInt64 = 60_002

    static func read(
        _ content: [UInt8], _ place: String, _ certificate: Certificate
    ) throws(Refusal) -> CarriedEvidence {
        guard let value = try? CBORDecoder.decode(content, rules: .anyOrder),
            case .tagged(let tag, let inner) = value, [quotes, legacyQuotes].contains(tag),
            let items = inner.items, items.count == 2, let bytes = items[0].byteString,
            let claims = items[1].byteString
        else { throw AttestedLeaf.malformed(.ccc) }
        let binding = StaticBinding(claims: claims)
        let formula = "SHA-256(claims), pubkey-hash = hash of SubjectPublicKeyInfo"
        guard let format = tag == quotes ? otherFormat(bytes) : nil else {
            let carried = try CarriedEvidence(
                .ccc, place, try ForeignPiece(quote: bytes),
                [.init(formula, Array(binding.reportData.prefix(32)))],
                code: "certificate.binding.claims")
            try checkKey(claims, certificate)
            return carried
        }
        try checkKey(claims, certificate)
        let evidence = [Evidence(format, bytes: bytes)]
        return CarriedEvidence(
            .ccc, place, formula: "report_data = \(formula)", evidence: evidence,
            expected: binding.expected(of: evidence))
    }

    /// What Ratel's own Evidence is, told by its shape; nil for a quote of Intel's.
    private static func otherFormat(_ bytes: [UInt8]) -> EvidenceFormat? {
        guard let value = try? CBORDecoder.decode(bytes, rules: .anyOrder) else { return nil }
        if case .tagged(18, _) = value { return .nitro }
        if value.items?.count == 4 { return .nitro }
        guard let entries = value.entries, entries.first?.key == .unsigned(1),
            let first = entries.first?.value.byteString
        else { return nil }
        let keys = entries.map(\.key)
        // TPMS_ATTEST begins with TPM_GENERATED_VALUE, and stands beside its signature.
        if first.starts(with: [0xFF, 0x54, 0x43, 0x47]), keys.contains(.unsigned(2)) {
            return .tpm
        }
        if first.count == SNPReport.size { return .snp }
        if first.count == 64, keys == [.unsigned(1), .unsigned(2), .unsigned(3)] {
            return .simulated
        }
        return first.starts(with: [0xD9, 0x01, 0x8F]) ? .cca : nil
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
