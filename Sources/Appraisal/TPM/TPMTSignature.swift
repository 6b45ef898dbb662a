internal import Bytes
internal import Keys
public import RATS

/// TPMT_SIGNATURE by RSASSA, RSAPSS or ECDSA: TPM 2.0 Library part 2, section 11.3.4.
public struct TPMTSignature: Sendable, Equatable {
    enum Value: Sendable, Equatable {
        case rsa([UInt8])
        case ecdsa(r: [UInt8], s: [UInt8])
    }

    /// TPM_ALG_ID of the scheme.
    public let algorithm: UInt16
    /// TPM_ALG_ID of the hash.
    public let hash: UInt16
    let value: Value

    /// RSA 4096: 512 bytes and 6 of framing.
    static let limit = 640

    /// Reads a structure.
    public init(_ bytes: [UInt8]) throws(Refusal) {
        self = try TPMStructure.read("TPMT_SIGNATURE", bytes, limit: TPMTSignature.limit) {
            reader throws(ReadError) in
            try TPMTSignature(body: &reader)
        }
    }

    private init?(body reader: inout Reader) throws(ReadError) {
        algorithm = try reader.u16()
        hash = try reader.u16()
        switch algorithm {
        case TPMAlgorithm.rsassa, TPMAlgorithm.rsapss:
            value = .rsa(try reader.sized())
        case TPMAlgorithm.ecdsa:
            let r = try reader.sized()
            value = .ecdsa(r: r, s: try reader.sized())
        default:
            return nil
        }
    }

    /// The hash, which must be SHA-256 or larger.
    func digest() throws(Refusal) -> Digest {
        guard let bank = PCRBank(algorithm: hash) else {
            throw Refusal(
                "tpm.signature.hash",
                .evidence,
                kind: "tpm",
                field: "hash of the signature",
                expected: "SHA-256 or larger",
                got: hash == TPMAlgorithm.sha1 ? "SHA-1" : String(hash, radix: 16),
                remedy: "have the attester make a key with SHA-256"
            )
        }
        return bank.digest
    }

    /// Refuses a signature that is not by `key` over `message`, in the scheme of that key.
    func check(by key: TPMTPublic, over message: [UInt8]) throws(Refusal) {
        _ = try digest()
        guard key.scheme == (algorithm, hash) else { throw TPMTSignature.invalid }
        try check(by: key.key, over: message)
    }

    /// Refuses a signature that is not by `key` over `message`.
    func check(by key: PublicKey, over message: [UInt8]) throws(Refusal) {
        let digest = try digest()
        let holds =
            switch value {
            case .rsa(let bytes):
                key.verifies(
                    rsa: bytes,
                    over: message,
                    digest: digest,
                    padding: algorithm == TPMAlgorithm.rsapss ? .pss : .pkcs1
                )
            case .ecdsa(let r, let s):
                key.verifies(raw: raw(r, s, key), over: message, digest: digest)
            }
        guard holds else { throw TPMTSignature.invalid }
    }

    static let invalid = Refusal(
        "tpm.signature.invalid",
        .evidence,
        kind: "tpm",
        field: "signature of the quote",
        expected: "one by the key in the Evidence, in the scheme of that key",
        got: "another",
        remedy: "the quote was changed, or another key signed it"
    )

    private func raw(_ r: [UInt8], _ s: [UInt8], _ key: PublicKey) -> [UInt8] {
        guard let size = key.coordinateSize, r.count <= size, s.count <= size else { return [] }
        let zeros = [UInt8](repeating: 0, count: size)
        return zeros.dropFirst(r.count) + r + zeros.dropFirst(s.count) + s
    }
}
