internal import Bytes
internal import HTTP
internal import Keys
internal import Ledger
internal import Loop
internal import RATS
internal import Receipts
internal import Streams

/// One request of a caller, read as far as the market needs it, with the decision on it.
struct InferenceRequest {
    /// Of the receipt, the answer's headers and every later question about it.
    let id: String
    let account: RouterBook.Account
    let path: InferencePath
    /// The model as it goes to providers, without a suffix.
    let model: String
    let isStream: Bool
    let terms: RequestTerms
    private(set) var decision: Decision
    let seed: RouterBook.Seed
    /// What goes to providers; nothing once one serves it.
    var body: [UInt8]
    /// Bytes of the body as it came, and whether it refers to what is not in it.
    let requestBytes: Int64
    let hasReferences: Bool
    let hasTools: Bool
    /// Tokens that the caller allows all of its answers together; nil for as many as there is room.
    let outputLimit: Int64?
    /// Milliseconds since 1970.
    let started: Int64
    /// What it can cost at most, by the dearest offer that it may be served under.
    private(set) var reserve: Int64
    /// The same by offer.
    private let costs: [[UInt8]: Int64]

    /// Members that are the router's own and reach no provider.
    private static let own = ["provider", "ratel", "models"]
    /// The beginning of a prompt by which requests are kept together: some 250 tokens, where
    /// engines cache blocks of 16.
    private static let prefix = 1_024

    /// Reads and decides. Errors: those of the body, `model_not_found`, and those of preferences.
    init(
        _ bytes: [UInt8], path: InferencePath, account: RouterBook.Account, in market: Market,
        _ book: RouterBook, areAllAsked: () -> Bool
    ) throws(Failure) {
        let body = try RequestBody(bytes)
        let now = System.nowMilliseconds
        guard let seed = book.seed(at: now) else { throw .ledgerUnavailable }
        id = "gen-" + Hex.encode(SecureRandom.bytes(12))
        started = now
        self.account = account
        self.path = path
        self.seed = seed
        isStream = try body.flag("stream")
        requestBytes = Int64(bytes.count)
        hasReferences = BodyReferences.areIn(bytes)
        hasTools = body.size("tools") != nil
        let bound = try OutputBound(body, path)
        outputLimit = bound.limit
        let terms = try InferenceRequest.choose(
            body, path, account, bound, market, now, areAllAsked)
        self.terms = terms.terms
        decision = terms.decision
        model = terms.terms.model
        var changes: [(name: String, value: JSONValue?)] = InferenceRequest.own.map { ($0, nil) }
        changes.append(("model", .string(model)))
        // Tenants cannot look into each other's cache, nor choose to share one.
        changes.append(("cache_salt", path == .embeddings ? nil : .string(account.salt)))
        self.body = body.setting(changes)
        let (hasReferences, requestBytes) = (hasReferences, requestBytes)
        costs = market.costs(decision, model: model) { context in
            let input =
                hasReferences ? context : min(context, requestBytes + CountCheck.templateTokens)
            return Usage(
                input: min(input, Usage.max), cached: 0, output: bound.tokens(within: context),
                reasoning: 0)
        }
        reserve = costs.values.max() ?? 0
    }

    /// The same among those offers alone that an account with so much left can pay; nil where there
    /// are none. A dear offer must not shut those out who would not take it.
    func within(_ available: Int64) -> InferenceRequest? {
        let payable = costs.filter { $0.value <= available }
        guard !payable.isEmpty else { return nil }
        var left = self
        left.reserve = payable.values.max() ?? 0
        left.decision = Decision(
            decision.request,
            weighing: decision.candidates.map { candidate in
                guard candidate.measures != nil, payable[candidate.offer] == nil else {
                    return candidate
                }
                return Decision.Candidate(
                    offer: candidate.offer, weight: 0, reason: Exclusion.price.rawValue)
            })
        return left
    }

    // The caller's models are tried in its order: the first that anybody can serve.
    private static func choose(
        _ body: RequestBody, _ path: InferencePath, _ account: RouterBook.Account,
        _ bound: OutputBound, _ market: Market, _ now: Int64, _ areAllAsked: () -> Bool
    ) throws(Failure) -> (terms: RequestTerms, decision: Decision) {
        guard let first = try body.demand("model")?.text, (1...256).contains(first.utf8.count)
        else {
            throw .noModel
        }
        let others = try body.demand("models")?.items?.compactMap(\.text) ?? []
        var known: (RequestTerms, Decision)?
        for text in ([first] + others).prefix(16) {
            let terms = try terms(ModelName(text), body, path, account, bound)
            guard let decision = market.decide(terms, now: now) else { continue }
            if decision.candidates.contains(where: { $0.weight > 0 }) { return (terms, decision) }
            known = known ?? (terms, decision)
        }
        guard let known else {
            // A router that has just begun knows of nobody yet.
            throw areAllAsked() ? .modelUnknown(first) : .starting
        }
        return known
    }

    private static func terms(
        _ name: ModelName, _ body: RequestBody, _ path: InferencePath,
        _ account: RouterBook.Account, _ bound: OutputBound
    ) throws(Failure) -> RequestTerms {
        let (provider, own) = (try body.demand("provider"), try body.demand("ratel"))
        let preferences: ProviderPreferences
        do throws(Refusal) {
            preferences = try ProviderPreferences(
                provider: provider, ratel: own, suffix: name.sort)
        } catch {
            throw Failure(
                status: 400, code: error.code, message: "the request's preferences are refused",
                stage: "request", field: error.field, expected: error.expected, got: error.got,
                remedy: error.remedy)
        }
        if preferences.attestation.sessions.count > 64 { throw .tooManySessions }
        // A token has some four bytes in JSON.
        let prompts = path.prompts.reduce(0) { $0 + (body.size($1) ?? 0) }
        var prefix: [UInt8]?
        if let text = path.prompts.lazy.compactMap({ body.prefix($0, InferenceRequest.prefix) })
            .first, text.count >= 256
        {
            prefix = Digest.sha256(Array(account.id.utf8) + [0] + text)
        }
        return RequestTerms(
            model: name.name, input: Int64(prompts / 4), maxOutput: bound.each,
            parameters: Set(body.names).subtracting(
                path.prompts + InferenceRequest.own + ["model", "stream"]),
            prefix: prefix, preferences: preferences)
    }
}
