internal import Keys
public import RATS

/// Evidence over one connection, with what it takes to check that it is.
public struct EvidenceBody: Sendable, Equatable {
    /// The most bytes of effective configuration; a complete one is 2 to 4 KiB.
    public static let maxConfiguration = 64 * 1024

    /// N_att, 32 bytes.
    public let nonce: [UInt8]
    /// The Evidence.
    public let evidence: [Evidence]
    /// SubjectPublicKeyInfo of the binding key.
    public let bindingKey: [UInt8]
    /// From the leaf of this connection to the root of the batch.
    public let path: MerkleTree.Path
    /// The effective configuration as it is hashed: JSON.
    public let configuration: [UInt8]
    /// The Endorsements.
    public let endorsements: [Endorsement]
    /// By the binding key, raw, 64 bytes.
    public let signature: [UInt8]

    /// The body as it travels.
    public var encoded: [UInt8] {
        let shown = endorsements.isEmpty ? nil : CMW.encode(endorsements: endorsements)
        return CBORValue.fields([
            (1, .bytes(nonce)), (2, CMW.encode(evidence: evidence)), (3, .bytes(bindingKey)),
            (4, .array(path.neighbours.map { .bytes($0) })), (5, .unsigned(UInt64(path.sides))),
            (6, .bytes(configuration)), (7, shown), (8, .bytes(signature)),
        ]).encoded()
    }

    /// Reads a body; only the Endorsements may be absent.
    public static func decode(_ bytes: [UInt8]) throws(Refusal) -> EvidenceBody {
        do throws(CBORError) {
            let fields = try CBORFields(decoding: bytes, allowed: [1, 2, 3, 4, 5, 6, 7, 8])
            guard let collection = fields.optional(2) else { throw CBORError(.missing, offset: 2) }
            let path = MerkleTree.Path(
                neighbours: try fields.byteStrings(4, size: 48, limit: MerkleTree.maxPathLength),
                sides: UInt32(try fields.number(5, limit: UInt64(UInt16.max)))
            )
            let configuration = try fields.bytes(6)
            guard configuration.count <= maxConfiguration else {
                throw CBORError(.wrongType, offset: 6)
            }
            let shown = try fields.optional(7).map { value throws(CBORError) in
                try CMW.decodeEndorsements(value)
            }
            return EvidenceBody(
                nonce: try fields.bytes(1, count: Binding.nonceSize),
                evidence: try CMW.decodeEvidence(collection),
                bindingKey: try fields.bytes(3),
                path: path,
                configuration: configuration,
                endorsements: shown ?? [],
                signature: try fields.bytes(8, count: 64)
            )
        } catch {
            throw ExchangeRules.refusal(
                "exchange.evidence.malformed",
                "evidence frame",
                expected: "Evidence as specified",
                got: error.description
            )
        }
    }
}
