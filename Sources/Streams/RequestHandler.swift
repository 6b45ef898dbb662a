public import HTTP

/// What becomes of a request.
public enum Disposition {
    /// Answer it here.
    case respond(Failure)
    /// Answer it here with a ready document.
    case answer(status: Int, contentType: String, body: [UInt8])
    /// Send it on, with this head.
    case forward(RequestHead, UpstreamPool)
}

/// Decides on the requests of one connection.
public protocol RequestHandler: AnyObject {
    /// Called once for each request head, before anything of it is sent anywhere.
    func handle(_ head: RequestHead) -> Disposition
    /// One request is over; `failure` is nil when the answer was complete.
    func finished(_ summary: ExchangeSummary)
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
