public import Keys

/// Which offers a router considered for one request, how it weighed them, and how it drew: what an
/// auditor needs to see that it did not favour its own (routing.md, "Receipt").
///
/// The draw is HMAC-SHA-256 of the receipt's identifier under a seed that the router commits to
/// before the hour begins and shows once it is over: nobody can work it out ahead, and the router
/// cannot choose it. The weights follow from what was measured by `Weighing`.
public struct Decision: Sendable, Equatable {
    /// One offer that was looked at.
    public struct Candidate: Sendable, Equatable {
        /// The offer's digest.
        public var offer: [UInt8]
        /// Its part of the draw; 0 for what was filtered out.
        public var weight: UInt64
        /// Why it had no part, such as `price`, `region` or `capacity`; or how it was weighed, one
        /// of `Weighing.Place`.
        public var reason: String
        /// What it was weighed by; nil for what was filtered out.
        public var measures: Measures?

        public init(offer: [UInt8], weight: UInt64, reason: String, measures: Measures? = nil) {
            self.offer = offer
            self.weight = weight
            self.reason = reason
            self.measures = measures
        }
    }

    /// What the request was weighed for.
    public let request: Request
    /// In the order of their digests, each once.
    public let candidates: [Candidate]

    /// Candidates of one decision at most: more than any market has of one model. Each is 13
    /// values of JSON and some 330 bytes, so that 512 of them stay within what `JSONParser` reads,
    /// 8,192 values, and within a line of an export, 512 KiB.
    public static let maxCandidates = 512
    /// The largest weight: that of 512 candidates as good as the best, where one has it all.
    public static let maxWeight: UInt64 = 1 << 40

    /// Takes candidates in any order, with the weights that they have.
    public init(_ request: Request, _ candidates: [Candidate]) {
        precondition(candidates.count <= Decision.maxCandidates, "too many candidates")
        self.request = request
        self.candidates = Decision.sorted(candidates)
    }

    /// Weighs candidates, which come in any order: those with measures get weights and places.
    public init(_ request: Request, weighing candidates: [Candidate]) {
        self.init(request, candidates)
        self = weighed
    }

    /// The same candidates as `Weighing` has them.
    var weighed: Decision {
        Decision(request, Weighing.weigh(candidates, for: request))
    }

    // A router that keeps its providers in this order pays for one pass over them.
    private static func sorted(_ candidates: [Candidate]) -> [Candidate] {
        let isSorted = zip(candidates, candidates.dropFirst()).allSatisfy {
            $0.offer.lexicographicallyPrecedes($1.offer)
        }
        guard !isSorted else { return candidates }
        return candidates.sorted { $0.offer.lexicographicallyPrecedes($1.offer) }
    }

    /// The Merkle root over the canonical forms of the request and then of each candidate: what a
    /// receipt commits to.
    public func root() throws(KeyError) -> [UInt8] {
        var tree = HashTree.Growing()
        tree.append(try CanonicalJSON.encode(request.json))
        for candidate in candidates { tree.append(try CanonicalJSON.encode(candidate.json)) }
        return tree.root
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

    /// The decision when the offer with this digest was asked and did not serve: those that are
    /// left, weighed among themselves.
    public func without(_ offer: [UInt8]) -> Decision {
        Decision(request, weighing: candidates.filter { $0.offer != offer })
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
}
