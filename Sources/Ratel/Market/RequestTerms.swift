internal import Receipts

/// What a caller asks for in one request, as far as the choice of a provider goes: no prompt.
package struct RequestTerms: Sendable {
    /// The model's name, without the suffix that `ModelName` took off.
    package var model: String
    /// Tokens of the prompt, as the router expects them, and of these what was likely seen before.
    package var input: Int64
    package var cached: Int64
    /// The caller's `max_tokens`; nil where it set none.
    package var maxOutput: Int64?
    /// Names of the request's parameters, for `require_parameters`.
    package var parameters: Set<String>
    /// What the caller's account and the prompt's beginning come to; nil where there is too little
    /// of it to be worth a cache. A cache is shared within an account alone.
    package var prefix: [UInt8]?
    package var preferences: ProviderPreferences

    /// Tokens of an answer where the caller sets no bound: those of the usual load (routing.md,
    /// "Scale"). It is what costs are compared for, and no limit.
    package static let usualOutput: Int64 = 400

    package init(
        model: String, input: Int64, cached: Int64 = 0, maxOutput: Int64? = nil,
        parameters: Set<String> = [], prefix: [UInt8]? = nil,
        preferences: ProviderPreferences = ProviderPreferences()
    ) {
        self.model = model
        self.input = input
        self.cached = cached
        self.maxOutput = maxOutput
        self.parameters = parameters
        self.prefix = prefix
        self.preferences = preferences
    }

    /// The tokens that offers are compared for.
    var expected: Usage {
        let input = min(max(0, input), Usage.max)
        return Usage(
            input: input, cached: min(max(0, cached), input),
            output: min(max(0, maxOutput ?? .max), RequestTerms.usualOutput), reasoning: 0)
    }

    /// Tokens that a provider must have room for.
    var room: Int64 { expected.input + min(max(1, maxOutput ?? 1), Usage.max) }

    /// How many providers may be asked, one after the other.
    package var attemptLimit: Int {
        let prefers = preferences
        guard !prefers.allowsFallbacks else { return Receipt.maxAttempts }
        // Without fallbacks, those of the caller's order, or the first choice.
        return max(1, min(prefers.order.count, Receipt.maxAttempts))
    }

    /// What the decision says that it was weighed for.
    var weighing: Decision.Request {
        let order = preferences.decisionOrder
        let hasLimits = order == .score
        return Decision.Request(
            order: order, expected: expected,
            first: preferences.maxLatency ?? (hasLimits ? RequestTerms.usualLatency : 0),
            gap: preferences.maxGap ?? (hasLimits ? RequestTerms.usualGap : 0))
    }

    /// Microseconds up to which a provider is as good as any where the caller says nothing: 2 s to
    /// the first token, and 40 ms, which is 25 tokens a second. People read some 5 words a second
    /// (240 a minute), of 1.3 tokens: a stream of a quarter of that speed would hold a reader up.
    static let usualLatency: Int64 = 2_000_000
    static let usualGap: Int64 = 40_000
}

/// A model as callers write it.
package struct ModelName: Sendable, Equatable {
    package var name: String
    /// What its suffix asks for: `:floor` the cheapest, `:nitro` the fastest.
    package var sort: ProviderPreferences.Sort?

    /// Takes a known suffix off; any other is part of the name.
    package init(_ text: String) {
        for (suffix, sort) in [(":floor", ProviderPreferences.Sort.price), (":nitro", .throughput)]
        where text.hasSuffix(suffix) && text.utf8.count > suffix.utf8.count {
            name = String(text.dropLast(suffix.count))
            self.sort = sort
            return
        }
        name = text
        sort = nil
    }
}
