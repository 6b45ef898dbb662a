public import Keys
public import RATS

/// Which offers a router considered for one request, how it weighed them, and how it drew: what an
/// auditor needs to see that it did not favour its own (routing.md, "Receipt").
///
/// The draw is HMAC-SHA-256 of the receipt's identifier under a seed that the router commits to
/// before the hour begins and shows once it is over: nobody can work it out ahead, and the router
/// cannot choose it.
public struct Decision: Sendable, Equatable {
    /// One offer that was looked at.
    public struct Candidate: Sendable, Equatable {
        /// The offer's digest.
        public var offer: [UInt8]
        /// Its part of the draw; 0 for what was filtered out.
        public var weight: UInt64
        /// Why it had no part, such as `price`, `region` or `capacity`; or what it was weighed
        /// by, `band` or `exploration`.
        public var reason: String

        public init(offer: [UInt8], weight: UInt64, reason: String) {
            self.offer = offer
            self.weight = weight
            self.reason = reason
        }

        var json: JSONValue {
            .members([
                ("offer_hash", .string(Hex.encode(offer))), ("weight", .integer(weight)),
                ("reason", .string(reason)),
            ])
        }
    }

    /// In the order of their digests, each once.
    public let candidates: [Candidate]

    /// Candidates of one decision at most: more than any market has of one model.
    public static let maxCandidates = 4_096
    /// The largest weight: 4,096 of them stay below 2^53.
    public static let maxWeight: UInt64 = 1 << 40

    /// Takes candidates in any order.
    public init(_ candidates: [Candidate]) {
        precondition(candidates.count <= Decision.maxCandidates, "too many candidates")
        self.candidates = candidates.sorted { $0.offer.lexicographicallyPrecedes($1.offer) }
    }

    /// The Merkle root over the candidates' canonical forms: what a receipt commits to.
    public func root() throws(KeyError) -> [UInt8] {
        var leaves: [[UInt8]] = []
        for candidate in candidates { leaves.append(try CanonicalJSON.encode(candidate.json)) }
        return HashTree.root(of: leaves)
    }

    /// The candidate that `draw` falls on, each with the chance of its weight; nil where none has
    /// any.
    public func choice(_ draw: UInt64) -> Candidate? {
        let total = candidates.reduce(0) { $0 + $1.weight }
        guard total > 0 else { return nil }
        var rest = draw.multipliedFullWidth(by: total).high
        for candidate in candidates {
            if rest < candidate.weight { return candidate }
            rest -= candidate.weight
        }
        return nil
    }

    /// The same decision when the offer with this digest was asked and did not serve.
    public func without(_ offer: [UInt8]) -> Decision {
        Decision(candidates.filter { $0.offer != offer })
    }

    /// The draw for attempt `attempt`, from 0 on, of a receipt under a seed of 32 bytes.
    public static func draw(for receipt: String, attempt: Int, seed: [UInt8]) -> UInt64 {
        let bytes = Digest.sha256.authenticate(
            Array("ratel/draw/1".utf8) + [0, UInt8(attempt)] + Array(receipt.utf8), key: seed)
        return bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// What a router publishes of a seed before it is used.
    public static func commitment(to seed: [UInt8]) -> [UInt8] {
        Digest.sha256(Array("ratel/seed/1".utf8) + [0] + seed)
    }

    public var json: JSONValue { .array(candidates.map(\.json)) }

    /// Reads candidates as they are exported. Errors: `receipt.malformed`.
    public init(reading value: JSONValue?, at place: String) throws(Refusal) {
        guard let items = value?.items, items.count <= Decision.maxCandidates else {
            throw StatementFields.refusal(
                place, "a list of at most \(Decision.maxCandidates)", "another")
        }
        var candidates: [Candidate] = []
        for (index, item) in items.enumerated() {
            let fields = try StatementFields(
                item, at: "\(place)[\(index)]", ["offer_hash", "weight", "reason"])
            let candidate = Candidate(
                offer: try fields.digest("offer_hash"),
                weight: UInt64(try fields.number("weight", 0...Int64(Decision.maxWeight))),
                reason: try fields.text("reason"))
            if let last = candidates.last,
                !last.offer.lexicographicallyPrecedes(candidate.offer)
            {
                throw StatementFields.refusal(
                    "\(place)[\(index)]", "offers in the order of their digests, each once",
                    Hex.encode(candidate.offer))
            }
            candidates.append(candidate)
        }
        self.init(candidates)
    }
}
