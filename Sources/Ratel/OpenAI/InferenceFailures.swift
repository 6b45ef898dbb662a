internal import HTTP
internal import Streams

/// What the provider and the router say alike of a request and of what answers it.
extension Failure {
    static func methodRefused(_ allowed: String) -> Failure {
        Failure(
            status: 405, code: "request.method", message: "this path has another method",
            stage: "request", field: "method", expected: allowed, got: "another",
            allowed: allowed)
    }

    static let noModel = Failure(
        status: 400, code: "request.model.missing", message: "the body names no model",
        stage: "request", field: "model", expected: "the name of a model, as text", got: "none",
        remedy: "GET /v1/models has the names")

    static func provider(_ status: Int) -> Failure {
        Failure(
            status: 502, code: "upstream.status", message: "the provider failed",
            stage: "response", field: "status", expected: "an answer", got: "\(status)",
            remedy: "send the request again")
    }

    static let packed = Failure(
        status: 502, code: "upstream.encoding", message: "the provider's answer is packed",
        stage: "response", field: "Content-Encoding", expected: "none, as none was asked for",
        got: "another", remedy: "send the request again")
}

extension ResponseHead {
    /// Whether its content is as it is read, and not packed.
    var isPlain: Bool {
        fields.values(named: "content-encoding").allSatisfy { $0.lowercased() == "identity" }
    }
}
