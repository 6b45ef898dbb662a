internal import Keys
public import RATS

/// What one side asks of the other: `{1: N_rp, 2: kinds, 3: known binding keys}`, or `{}`.
public struct ChallengeBody: Sendable, Equatable {
    /// How many binding keys may be listed: protocol.md.
    public static let maxKnownKeys = 8
    /// How many kinds may be listed: one byte's worth of numbers, of which five exist.
    static let maxKinds = 16

    /// What is asked, if anything.
    public struct Question: Sendable, Equatable {
        /// N_rp, 32 bytes.
        public let nonce: [UInt8]
        /// The numbers of the kinds of Evidence that would do; unknown numbers are kept.
        public let kinds: [UInt8]
        /// SHA-256 of the binding keys from which a lease would do, 32 bytes each.
        public let knownKeys: [[UInt8]]
    }

    /// What is asked; `nil` if no Evidence is.
    public let question: Question?

    /// Asks for Evidence of one of these kinds, with a fresh nonce; or, without kinds, for none.
    ///
    /// `knownKeys` are the hashes of binding keys from which a lease would do, 32 bytes each.
    public static func make(
        kinds: [EvidenceKind], knownKeys: [[UInt8]] = []
    ) -> ChallengeBody {
        guard !kinds.isEmpty else { return ChallengeBody(question: nil) }
        return ChallengeBody(
            question: Question(
                nonce: SecureRandom.bytes(Binding.nonceSize),
                kinds: kinds.map(\.rawValue),
                knownKeys: knownKeys
            )
        )
    }

    /// The body as it travels.
    public var encoded: [UInt8] {
        guard let question else { return CBORValue.map([]).encoded() }
        return CBORValue.fields([
            (1, .bytes(question.nonce)),
            (2, .array(question.kinds.map { .unsigned(UInt64($0)) })),
            (3, .array(question.knownKeys.map { .bytes($0) })),
        ]).encoded()
    }

    /// Reads a body; every field or none must be there.
    public static func decode(_ bytes: [UInt8]) throws(Refusal) -> ChallengeBody {
        do throws(CBORError) {
            let fields = try CBORFields(decoding: bytes, allowed: [1, 2, 3])
            guard !fields.isEmpty else { return ChallengeBody(question: nil) }
            var kinds: [UInt8] = []
            for item in try fields.array(2, limit: maxKinds) {
                guard let number = item.number, let kind = UInt8(exactly: number) else {
                    throw CBORError(.wrongType, offset: 2)
                }
                kinds.append(kind)
            }
            return ChallengeBody(
                question: Question(
                    nonce: try fields.bytes(1, count: Binding.nonceSize),
                    kinds: kinds,
                    knownKeys: try fields.byteStrings(3, size: 32, limit: maxKnownKeys)
                )
            )
        } catch {
            throw ExchangeRules.refusal(
                "exchange.challenge.malformed",
                "challenge",
                expected: "a challenge as specified",
                got: error.description
            )
        }
    }
}
