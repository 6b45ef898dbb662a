/// What tokens cost: whole nano-dollars (10⁻⁹ USD) for a million tokens of each kind.
public struct Price: Sendable, Equatable {
    /// Tokens of the prompt that were not in a cache.
    public var input: Int64
    /// Tokens of the prompt that were.
    public var cached: Int64
    /// Tokens that were generated, those of reasoning included.
    public var output: Int64
    /// What a request costs at least, in nano-dollars, once a token was served.
    public var minimum: Int64

    /// The dearest price that is read: $1,000,000 for a million tokens. With `Usage.max` tokens of
    /// each kind a cost stays below 2^63.
    public static let max: Int64 = 1_000_000_000_000_000

    /// Names the prices.
    public init(input: Int64, cached: Int64, output: Int64, minimum: Int64 = 0) {
        self.input = input
        self.cached = cached
        self.output = output
        self.minimum = minimum
    }

    /// What `usage` costs, in nano-dollars: the sum over the kinds of tokens, rounded up once to
    /// a whole nano-dollar, and at least `minimum` where anything was served.
    public func cost(of usage: Usage) -> Int64 {
        guard usage.input > 0 || usage.output > 0 else { return 0 }
        let uncached = usage.input - usage.cached
        var sum = Wide()
        sum.add(uncached, input)
        sum.add(usage.cached, cached)
        sum.add(usage.output, output)
        return Swift.max(minimum, sum.millionthsUp)
    }

    /// A sum of products in 128 bits.
    private struct Wide {
        private var value: UInt128 = 0

        mutating func add(_ count: Int64, _ price: Int64) {
            value += UInt128(count.magnitude) * UInt128(price.magnitude)
        }

        var millionthsUp: Int64 { Int64((value + 999_999) / 1_000_000) }
    }
}

/// How many tokens a request took, as the engine counted them.
public struct Usage: Sendable, Equatable {
    /// Tokens of the prompt, those from a cache included.
    public var input: Int64
    /// Of these, tokens that came from a cache.
    public var cached: Int64
    /// Tokens that were generated.
    public var output: Int64
    /// Of these, tokens of reasoning.
    public var reasoning: Int64

    /// Tokens of one kind in one request: 2^31, a thousand times the longest contexts.
    public static let max: Int64 = 1 << 31

    /// Nothing.
    public static let none = Usage(input: 0, cached: 0, output: 0, reasoning: 0)

    /// Names the counts.
    public init(input: Int64, cached: Int64, output: Int64, reasoning: Int64) {
        self.input = input
        self.cached = cached
        self.output = output
        self.reasoning = reasoning
    }

    /// Whether the counts can be true at all: none is negative or over `max`, and no part is more
    /// than its whole.
    public var isPossible: Bool {
        let all = [input, cached, output, reasoning]
        return all.allSatisfy { (0...Usage.max).contains($0) } && cached <= input
            && reasoning <= output
    }
}
