public import HTTP

/// What becomes of a request.
public enum Disposition {
    /// Answer it here.
    case respond(Failure)
    /// Answer it here with a ready document, and with these fields beside the usual ones.
    case answer(
        status: Int, contentType: String, body: [UInt8],
        fields: [(name: String, value: String)] = [])
    /// Send it on, with this head.
    case forward(RequestHead, UpstreamPool)
    /// Read up to so many bytes of the body, and ask again with the model that it names.
    case findModel(within: Int)
    /// Read the whole body, of so many bytes at most, and have it answered here in its time.
    case collect(within: Int)
}

/// Decides on the requests of one connection.
public protocol RequestHandler: AnyObject {
    /// Called once for each request head, before anything of it is sent anywhere.
    func handle(_ head: RequestHead) -> Disposition
    /// Called after `findModel`, with what the body names; nil where it names none in the limit.
    func handle(model: String?) -> Disposition
    /// Called after `collect`, once the body is whole; `reply` is for this request alone.
    func answer(_ body: [UInt8], with reply: LocalReply)
    /// Nothing of the request was sent, because no link to `pool` could be opened: where to send it
    /// instead, if anywhere.
    func alternative(to pool: UpstreamPool, after error: LinkError) -> UpstreamPool?
    /// What holds for the present request in place of the service's; asked once it is forwarded.
    var ownBudgets: Budgets? { get }
    /// Bytes of content that the present request may have; asked before any of it goes on.
    var maximumBody: UInt64 { get }
    /// Whether the tokens of the present request's answer go out together at the loop's ticks.
    var sendsAtTicks: Bool { get }
    /// One request is over; `failure` is nil when the answer was complete.
    func finished(_ summary: ExchangeSummary)
}

extension RequestHandler {
    public func handle(model: String?) -> Disposition { .respond(.noModelAsked) }
    public func answer(_ body: [UInt8], with reply: LocalReply) { reply.refuse(.noBodyAsked) }
    public func alternative(
        to pool: UpstreamPool, after error: LinkError
    ) -> UpstreamPool? { nil }
    public var ownBudgets: Budgets? { nil }
    public var maximumBody: UInt64 { .max }
    public var sendsAtTicks: Bool { false }
}

extension Failure {
    static let noModelAsked = Failure(
        status: 500, code: "request.model_unasked", message: "nobody asked for the model",
        stage: "request")
    static let noBodyAsked = Failure(
        status: 500, code: "request.body_unasked", message: "nobody asked for the body",
        stage: "request")
}

/// What one exchange was, for logs and receipts: no body, no header's value.
public struct ExchangeSummary: Sendable {
    public var method = ""
    public var path = ""
    /// The status sent to the client; 0 when none was.
    public var status = 0
    public var requestBytes: UInt64 = 0
    public var responseBytes: UInt64 = 0
    /// Milliseconds from the request's head to the answer's head; nil when there was none.
    public var firstByte: UInt64?
    /// Milliseconds from the request's head to the end.
    public var duration: UInt64 = 0
    /// Nil when the answer was complete.
    public var failure: Failure?
}
