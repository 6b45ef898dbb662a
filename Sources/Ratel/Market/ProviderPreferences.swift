package import Keys
package import RATS
internal import Receipts

/// What a caller's `provider` object asks for, and our own `ratel` object beside it
/// (routing.md, "What callers see").
package struct ProviderPreferences: Sendable, Equatable {
    /// By what the caller wants providers sorted, with no chance in it.
    package enum Sort: String, Sendable, CaseIterable {
        case price, throughput, latency
    }

    /// The most that a caller pays: nano-dollars for a million tokens, and for a request at least.
    package struct PriceLimit: Sendable, Equatable {
        package var input: Int64?
        package var output: Int64?
        package var request: Int64?
    }

    /// What the caller demands of a provider's Evidence.
    package struct Attestation: Sendable, Equatable {
        /// Sessions, of which one must stand; none named, any.
        package var sessions: [String] = []
        /// Claims that must all have been appraised.
        package var claims: [String] = []
        /// Seconds since the appraisal at most.
        package var maxAge: Int64?
    }

    package var order: [String] = []
    package var only: [String] = []
    package var ignore: [String] = []
    package var allowsFallbacks = true
    package var requiresParameters = false
    /// Whether nothing of the request may be kept: `data_collection: "deny"`, or `zdr`.
    package var deniesRetention = false
    package var quantizations: [String] = []
    package var regions: [String] = []
    package var sort: Sort?
    /// Microseconds to the first token, and from token to token, from which on a provider comes
    /// after others.
    package var maxLatency: Int64?
    package var maxGap: Int64?
    package var maxPrice = PriceLimit()
    package var attestation = Attestation()
    /// Names in `provider` that are none of ours and none that is known here: OpenRouter has new
    /// ones from time to time. The router names them to the caller.
    package var ignored: [String] = []

    /// Names in one list: more than there are providers of one model.
    static let maxNames = Decision.maxCandidates

    /// Nothing asked for.
    package init() {}

    /// What the decision is made by: a caller's own order goes before its sort.
    var decisionOrder: Decision.Order {
        if !order.isEmpty { return .order }
        return switch sort {
        case .price: .price
        case .throughput: .throughput
        case .latency: .latency
        case nil: .score
        }
    }
}

extension ProviderPreferences {
    private static let known = [
        "order", "only", "ignore", "allow_fallbacks", "require_parameters", "data_collection",
        "zdr", "quantizations", "sort", "preferred_min_throughput", "preferred_max_latency",
        "max_price", "attestation",
    ]

    /// Reads the `provider` and `ratel` members of a request; nil where there is none. The model's
    /// suffix stands where `sort` does not.
    ///
    /// Errors, each a 400: `request.provider.type`, `request.provider.value`, and
    /// `request.provider.unknown` for a name that is not known in a place that is ours.
    package init(
        provider: JSONValue?, ratel: JSONValue? = nil, suffix: Sort? = nil
    ) throws(Refusal) {
        let fields = try PreferenceFields(provider, at: "provider")
        ignored = fields.names.filter { !ProviderPreferences.known.contains($0) }
        order = try fields.names("order")
        only = try fields.names("only")
        ignore = try fields.names("ignore")
        allowsFallbacks = try fields.flag("allow_fallbacks") ?? true
        requiresParameters = try fields.flag("require_parameters") ?? false
        let collection = try fields.word("data_collection", ["allow", "deny"])
        let isZDR = try fields.flag("zdr") ?? false
        deniesRetention = collection == "deny" || isZDR
        quantizations = try fields.names("quantizations")
        sort = try ProviderPreferences.sort(fields) ?? suffix
        maxLatency = try fields.bound("preferred_max_latency", tightest: .min)
            .map { max(1, $0 / 1_000) }
        // Thousand-millionths of tokens a second to microseconds a token.
        maxGap = try fields.bound("preferred_min_throughput", tightest: .max)
            .map { max(1, 1_000_000_000_000_000 / max(1, $0)) }
        maxPrice = try PriceLimit(try fields.object("max_price"))
        attestation = try Attestation(try fields.object("attestation"))
        let own = try PreferenceFields(ratel, at: "ratel")
        try own.allowOnly(["regions"])
        regions = try own.names("regions")
    }

    // A word, or an object with that word as `by`; its `partition` is about `models`, which are
    // tried in the caller's order here.
    private static func sort(_ fields: PreferenceFields) throws(Refusal) -> Sort? {
        let words = Sort.allCases.map(\.rawValue)
        if fields.isObject("sort") {
            let inner = try fields.object("sort")
            _ = try inner.word("partition", ["model", "none"])
            return try inner.word("by", words).flatMap(Sort.init)
        }
        return try fields.word("sort", words).flatMap(Sort.init)
    }
}

extension ProviderPreferences.PriceLimit {
    fileprivate init(_ fields: PreferenceFields) throws(Refusal) {
        // Dollars for a million tokens; a nano-dollar is the ninth place.
        input = try fields.decimal("prompt")
        output = try fields.decimal("completion")
        request = try fields.decimal("request")
        // No offer charges for images: any bound holds.
        _ = try fields.decimal("image")
    }
}

extension ProviderPreferences.Attestation {
    fileprivate init(_ fields: PreferenceFields) throws(Refusal) {
        try fields.allowOnly(["required", "sessions", "min_claims", "max_age_s"])
        // A provider without Evidence is asked for nobody, whatever this says.
        _ = try fields.flag("required")
        sessions = try fields.names("sessions")
        claims = try fields.names("min_claims")
        maxAge = try fields.integer("max_age_s")
    }
}
