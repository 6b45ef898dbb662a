extension Decision {
    /// What a request's providers are compared by.
    public enum Order: String, Sendable, CaseIterable {
        /// The score: cost, speed and success together; the best share the draw.
        case score
        /// The caller's `sort`: the first takes all.
        case price, throughput, latency
        /// The caller's own order: the first takes all.
        case order
    }

    /// What a request was weighed for.
    public struct Request: Sendable, Equatable {
        public var order: Order
        /// The tokens that each offer's cost was worked out for.
        public var expected: Usage
        /// Microseconds to the first token, and from token to token, up to which a provider is as
        /// good as any; 0 for no such limit.
        public var first: Int64
        public var gap: Int64

        public init(order: Order, expected: Usage, first: Int64, gap: Int64) {
            self.order = order
            self.expected = expected
            self.first = first
            self.gap = gap
        }
    }

    /// What one candidate was weighed by.
    public struct Measures: Sendable, Equatable {
        /// What the request would cost there, in nano-dollars.
        public var cost: Int64
        /// Mean microseconds to the first token, and from token to token.
        public var first: Int64
        public var gap: Int64
        /// The part of its requests that it served.
        public var success: Int64
        /// How many tokens it counts for the same bytes, beside the others with its weights; 1 at
        /// least.
        public var inflation: Int64
        /// The part of its answers whose counts could not be true.
        public var disagreement: Int64
        /// How many requests these means are over, since it was admitted.
        public var facts: Int64
        /// Its place in the caller's `order`, from 1 on; 0 where it has none.
        public var position: Int64

        /// What stands for 1 in `success`, `inflation` and `disagreement`: in 65,536ths a mean
        /// over 64 requests is exact to a thousandth of what one request moves it by.
        public static let unit: Int64 = 1 << 16
        /// The largest factor: what is 16 times as bad loses to all others in any market.
        public static let maxFactor: Int64 = 16

        public init(
            cost: Int64, first: Int64, gap: Int64, success: Int64, inflation: Int64,
            disagreement: Int64, facts: Int64, position: Int64
        ) {
            self.cost = cost
            self.first = first
            self.gap = gap
            self.success = success
            self.inflation = inflation
            self.disagreement = disagreement
            self.facts = facts
            self.position = position
        }

        /// The cost of `usage` at `price` as far as numbers go that every reader has exactly.
        public static func cost(of usage: Usage, at price: Price) -> Int64 {
            min(price.cost(of: usage), Int64(CanonicalJSON.maxNumber))
        }
    }
}
