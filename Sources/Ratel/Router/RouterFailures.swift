internal import Receipts
internal import Streams

extension Failure {
    static let ledgerUnavailable = Failure(
        status: 503, code: "ledger.unavailable", message: "requests cannot be accounted for now",
        stage: "request", field: "ledger", expected: "a ledger that can be written",
        got: "one that cannot", remedy: "try again soon; the router's log says why",
        retryAfter: 2)

    static let starting = Failure(
        status: 503, code: "attestation_failed", message: "providers are being asked for Evidence",
        stage: "attestation", field: "providers", expected: "one that is admitted",
        got: "some that have not answered yet", remedy: "try again in a moment", retryAfter: 1)

    static let noKey = Failure(
        status: 401, code: "invalid_api_key", message: "this router knows its callers by a key",
        stage: "request", field: "Authorization", expected: "Bearer and a key of this router",
        got: "none, or another", remedy: "ask the operator for a key")

    static let noCredit = Failure(
        status: 402, code: "insufficient_quota",
        message: "the account does not cover what this request may cost", stage: "request",
        field: "balance", expected: "as much as the request may cost at most", got: "less",
        remedy: "pay in, raise the budget, or lower max_tokens")

    static func modelUnknown(_ name: String) -> Failure {
        Failure(
            status: 404, code: "model_not_found", message: "no provider offers this model",
            stage: "request", field: "model", expected: "a model of GET /v1/models", got: name,
            remedy: "correct the name, or wait until a provider of it is admitted")
    }

    static let tooManySessions = Failure(
        status: 400, code: "request.provider.value", message: "too many sessions are named",
        stage: "request", field: "provider.attestation.sessions", expected: "at most 64",
        got: "more")

    static let receiptUnknown = Failure(
        status: 404, code: "receipt.unknown", message: "there is no receipt of this name",
        stage: "request", field: "receipt", expected: "the X-Ratel-Receipt-Id of an answer",
        got: "another", remedy: "a receipt is there a moment after its answer has ended",
        retryAfter: 1)

    static let sessionUnknown = Failure(
        status: 404, code: "session.unknown", message: "there is no session of this name",
        stage: "request", field: "session", expected: "one of GET /v1/ratel/attestation",
        got: "another")

    static let pathUnknown = Failure(
        status: 404, code: "path.unknown", message: "there is nothing at this path",
        stage: "request", field: "path", expected: "a path of OpenAI's API, or /v1/ratel/…",
        got: "another")

    static let noTerminator = Failure(
        status: 502, code: "upstream.unterminated",
        message: "the provider's stream ended without its last event", stage: "response",
        expected: "the event that ends a stream of this API", got: "the end of the body",
        remedy: "send the request again")

    /// What a caller hears whose request nobody is left to serve.
    ///
    /// The reasons are those of the decision: they say why each provider had no part.
    static func nobody(_ decision: Decision, tried: [Receipt.Attempt], last: Failure?) -> Failure {
        let reasons = decision.candidates.filter { $0.measures == nil }.map(\.reason)
        let full = ["capacity", "health"]
        let isFull =
            tried.isEmpty
            ? reasons.contains(where: full.contains)
            : tried.allSatisfy { $0.outcome == .saturated }
        if isFull {
            return Failure(
                status: 429, code: "saturated", message: "every provider of this model is full",
                stage: "request", field: "capacity", expected: "a free place", got: "none",
                remedy: "try again soon", retryAfter: 1)
        }
        if let last { return last }
        let words = Set(reasons).sorted().joined(separator: ", ")
        if Set(reasons).isSubset(of: ["attestation", "session", "claims", "age"]) {
            if reasons.contains("session") {
                return Failure(
                    status: 412, code: "session_not_accepted",
                    message: "no session that the request pins stands", stage: "attestation",
                    field: "provider.attestation.sessions", expected: "one that stands",
                    got: words, remedy: "GET /v1/ratel/attestation names those that do")
            }
            return Failure(
                status: 503, code: "attestation_failed",
                message: "no provider of this model is attested as the request demands",
                stage: "attestation", field: "providers", expected: "one that is admitted",
                got: words, remedy: "GET /v1/ratel/attestation says why each is not",
                retryAfter: 5)
        }
        if reasons.allSatisfy({ $0 == "context" }), !reasons.isEmpty {
            return Failure(
                status: 400, code: "context_length_exceeded",
                message: "no provider of this model has room for so many tokens",
                stage: "request", field: "messages", expected: "fewer tokens", got: "more",
                remedy: "shorten the prompt, or lower max_tokens")
        }
        return Failure(
            status: 404, code: "no_provider",
            message: "no provider of this model is as the request demands", stage: "request",
            field: "provider", expected: "demands that a provider meets", got: words,
            remedy: "relax `provider`; the words say what each was left out for", retryAfter: nil)
    }
}
