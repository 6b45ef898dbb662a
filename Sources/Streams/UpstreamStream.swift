internal import Bytes
internal import HTTP
internal import Loop

/// A stream that this side opened on an upstream's connection for one conversation.
final class UpstreamStream: HTTP2Flow {
    /// The connection forgets its streams before it goes, and they it.
    private let lent: Borrowed<HTTP2Upstream>
    /// The conversation outlives the loan: it detaches before it ends.
    private var conversation: Borrowed<Conversation>?
    private var method = ""
    /// Whether the connection stood when this was opened.
    let isReused: Bool
    /// The peer has said that it did nothing with the request (RFC 9113 section 8.7).
    private(set) var isUnread = false

    init(on connection: HTTP2Upstream, for conversation: Conversation, isReused: Bool) {
        lent = Borrowed(connection)
        self.conversation = Borrowed(conversation)
        self.isReused = isReused
        super.init(0, on: connection, hasBody: true)
    }

    /// When answers under way are cut; nil where they are not.
    var cutsAt: UInt64? { lent.with { $0.link.cutsAt } }

    /// Begins the stream; false where the connection takes no more.
    func sendHead(_ head: RequestHead, hasBody: Bool) -> Bool {
        guard !isClosed else { return false }
        method = head.method
        isHeadSent = true
        if !hasBody { isOutputEnded = true }
        let isBegun = lent.with { $0.begin(self, head, hasBody: hasBody) }
        if isBegun { lent.with { $0.schedule() } }
        return isBegun
    }

    func receiveHead(_ head: HTTP2Head, hasBody: Bool) {
        if !head.isInterim { isChunked = hasBody && !head.isSized }
        receiveHead(head.response(hasBody: hasBody, to: method))
    }

    override func deliver(_ buffer: consuming Buffer) {
        guard let conversation else {
            // More than the answer came, or nobody waits for it any more.
            _ = consume buffer
            return
        }
        conversation.with(buffer) { $0.upstreamDidReceive($1) }
    }

    override func becameWritable() {
        conversation?.with { $0.upstreamDidBecomeWritable() }
    }

    override func failDelivery() {
        tell(.refused(.noBuffer))
    }

    /// The answer is one that is not taken.
    func refuse(_ failure: Failure) {
        tell(.refused(failure))
        lent.with { $0.cancel(self) }
    }

    /// Detaches; a stream that is not over is of no use to anybody (RFC 9113 section 8.1).
    func discard() {
        conversation = nil
        guard !isClosed else { return }
        lent.with { $0.cancel(self) }
    }

    /// Detaches; the stream ends by itself.
    func release() {
        conversation = nil
    }

    /// The stream is over; what waits still goes to the conversation where it is the whole.
    func close(code: UInt32, _ error: LinkError? = nil) {
        guard !isClosed else { return }
        markClosed()
        if code == HTTP2Error.noError, isInputEnded { return }
        dropBacklog()
        isUnread = error == nil && code == HTTP2Error.refusedStream
        tell(error ?? .refused(.resetStream(code)))
    }

    private func tell(_ error: LinkError) {
        guard let waiting = conversation else { return }
        conversation = nil
        waiting.with { $0.upstreamDidBreak(error, wasOpen: true) }
    }
}

extension Failure {
    /// Codes are of RFC 9113 section 7.
    static func resetStream(_ code: UInt32) -> Failure {
        Failure(
            status: 502, code: "upstream.reset", message: "the upstream ended the stream",
            stage: "response", expected: "an answer",
            got: code == HTTP2Error.refusedStream
                ? "REFUSED_STREAM: it takes no more on this connection" : "HTTP/2 error \(code)",
            remedy: "send the request again")
    }
}
