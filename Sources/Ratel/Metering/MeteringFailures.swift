internal import Streams

extension Failure {
    static let notOffered = Failure(
        status: 404, code: "path.not_offered", message: "this provider serves other paths",
        stage: "request", field: "path",
        expected: InferencePath.allCases.map(\.rawValue).joined(separator: ", "),
        got: "another path", remedy: "engines' other paths are not for callers")

    static let modelNotOffered = Failure(
        status: 404, code: "model_not_found", message: "this provider does not offer the model",
        stage: "request", field: "model", expected: "a model of its offers", got: "another",
        remedy: "GET /.well-known/ratel/offers has them")

    static let offerGone = Failure(
        status: 412, code: "offer.gone", message: "the offer is not in force",
        stage: "request", field: "X-Ratel-Offer", expected: "the digest of an offer in force",
        got: "another", remedy: "read the offers again: they change and expire")

    static let receiptTwice = Failure(
        status: 409, code: "receipt.twice", message: "this receipt was served, or is being served",
        stage: "request", field: "X-Ratel-Receipt-Id", expected: "each once", got: "it again",
        remedy: "ask for its facts in place of serving it again")

    static let malformedRouting = Failure(
        status: 400, code: "request.routing.malformed",
        message: "what a router says of this request cannot be read", stage: "request",
        field: "X-Ratel-Receipt-Id, X-Ratel-Offer, X-Ratel-Router",
        expected: "one name of 16 to 64 letters and digits, two SHA-256 in hexadecimal",
        got: "something else", remedy: "leave all out, or send all")

    static let noReceipt = Failure(
        status: 404, code: "receipt.unknown", message: "there are no facts of this receipt",
        stage: "request", field: "receipt", expected: "one that was served here, of the last 65536",
        got: "another")

    static let openReceipt = Failure(
        status: 409, code: "receipt.open", message: "this receipt is being served",
        stage: "request", field: "receipt", expected: "one whose answer is over",
        got: "one under way", remedy: "ask again soon", retryAfter: 1)

    /// An early answer in place of a queue.
    static func saturated(_ why: String) -> Failure {
        Failure(
            status: 429, code: "saturated", message: "this provider is full", stage: "request",
            field: "capacity", expected: "a free place", got: why,
            remedy: "try another provider, or this one later", retryAfter: 1)
    }
}
