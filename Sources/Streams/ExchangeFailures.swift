public import HTTP
internal import Loop
internal import TLS

extension Failure {
    /// A request that cannot be taken as it is.
    public init(_ refusal: HTTPRefusal) {
        self.init(
            status: refusal.status, code: refusal.code,
            message: "the request cannot be read without doubt and is refused", stage: "request",
            expected: refusal.expected, got: refusal.got)
    }

    init(upstream error: LinkError, wasOpen: Bool) {
        if case .refused(let failure) = error {
            self = failure
            return
        }
        if wasOpen {
            self = .noAnswer
            got = error.description
            return
        }
        if case .tls(let cause) = error {
            self.init(
                status: 502, code: "upstream.tls", message: "TLS with the upstream failed",
                stage: "tls", field: "upstream", expected: "TLS as this side is configured",
                got: cause.description,
                remedy:
                    "check the address, the server's certificate, and whether it asks for Evidence")
            return
        }
        var isTimeout = false
        if case .socket(let cause) = error { isTimeout = cause == .timedOut }
        self.init(
            status: isTimeout ? 504 : 502, code: "upstream.connect",
            message: "the upstream cannot be reached", stage: "connect", field: "upstream",
            expected: "a connection", got: error.description,
            remedy: "check that it is running and that the address is right")
    }

    static func badProxyHeader(_ refusal: HTTPRefusal) -> Failure {
        Failure(
            status: 0, code: refusal.code,
            message: "the connection does not begin as the PROXY protocol has it",
            stage: "proxy_protocol", field: "PROXY protocol header", expected: refusal.expected,
            got: refusal.got,
            remedy: "send version 2 from the balancer, or take `proxy_protocol` off the listener")
    }

    static let noProxyHeader = Failure(
        status: 0, code: "proxy_protocol.timeout",
        message: "the PROXY protocol's header did not come", stage: "proxy_protocol",
        field: "PROXY protocol header", expected: "a whole header within its budget",
        got: "a part or nothing",
        remedy: "send version 2 from the balancer, or take `proxy_protocol` off the listener")

    static let noAnswer = Failure(
        status: 502, code: "upstream.no_answer",
        message: "the upstream closed the connection before it answered", stage: "response")

    static let cutAnswer = Failure(
        status: 502, code: "upstream.cut",
        message: "the upstream ended in the middle of its answer", stage: "response")

    static let clientLeft = Failure(
        status: 499, code: "client.left", message: "the caller closed its connection",
        stage: "request")

    static let slowHead = Failure(
        status: 408, code: "request.head_timeout", message: "the request head took too long",
        stage: "request")

    static let slowBody = Failure(
        status: 408, code: "request.body_timeout",
        message: "the request body came to a stop", stage: "request")

    static func slowCollection(_ limit: UInt64) -> Failure {
        Failure(
            status: 408, code: "request.body_timeout",
            message: "the request body was not whole in time", stage: "request",
            expected: "all of it within \(limit) ms", got: "a part",
            remedy: "send the body at once, behind its head")
    }

    static func slowUpstream(_ limit: UInt64) -> Failure {
        Failure(
            status: 504, code: "upstream.first_byte_timeout",
            message: "the upstream did not begin to answer", stage: "response",
            expected: "a first byte within \(limit) ms", got: "none",
            remedy: "raise --first-byte-timeout or the route's, or look why the backend is slow")
    }

    /// The policy was replaced, and nothing may go on that began under the old one.
    public static let policyReplaced = Failure(
        status: 502, code: "admission.policy_replaced",
        message: "the policy was replaced while the connection stood", stage: "attestation",
        expected: "the policy that it was admitted by", got: "another with `on_change: close`",
        remedy: "connect again")

    static let admissionOver = Failure(
        status: 502, code: "stream.admission_over",
        message: "the answer outlasted what its connection was admitted for", stage: "response",
        expected: "its end within twice the policy's max_age, or 600 s where that is 0s",
        got: "an answer that goes on",
        remedy: "use HTTP/2 with a max_age other than 0s, which renews admissions, or "
            + "`long_answers: finish` in the policy")

    static func slowReply(_ limit: UInt64) -> Failure {
        Failure(
            status: 504, code: "reply.timeout", message: "this side did not have an answer in time",
            stage: "response", expected: "an answer within \(limit) ms", got: "none",
            remedy: "retry soon; where it stays so, look why the Attester is slow", retryAfter: 1)
    }

    static func stalled(_ limit: UInt64) -> Failure {
        Failure(
            status: 504, code: "stream.stalled", message: "the stream came to a stop",
            stage: "response", expected: "a byte within \(limit) ms", got: "none")
    }

    static func badAnswer(
        _ expected: String, _ got: String, code: String = "upstream.malformed"
    ) -> Failure {
        Failure(
            status: 502, code: code, message: "the upstream's answer is malformed",
            stage: "response", expected: expected, got: got)
    }
}
