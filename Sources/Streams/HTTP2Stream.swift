internal import Bytes
internal import HTTP
internal import Loop

/// A stream that a caller opened: its one request, its one answer, and the conversation on it.
final class HTTP2Stream: HTTP2Flow {
    /// The connection outlives its streams: it forgets them before it goes.
    private let lent: Borrowed<HTTP2Connection>
    /// `borrowed` is the same, uncounted.
    private var conversation: Conversation? {
        didSet { borrowed = conversation.map { Borrowed($0) } }
    }
    private var borrowed: Borrowed<Conversation>?

    init(_ id: Int32, on connection: HTTP2Connection, hasBody: Bool) {
        lent = Borrowed(connection)
        super.init(id, on: connection, hasBody: hasBody)
    }

    /// Counted; for paths that are not hot.
    var connection: HTTP2Connection { lent.object }

    func begin(_ head: [UInt8], handler: any RequestHandler) {
        let conversation = Conversation(caller: .stream(Borrowed(self)), handler: handler)
        self.conversation = conversation
        conversation.begin()
        receiveHead(head)
    }

    override func deliver(_ buffer: consuming Buffer) {
        guard let borrowed else {
            _ = consume buffer
            return
        }
        borrowed.with(buffer) { $0.clientDidReceive($1) }
    }

    override func becameWritable() {
        borrowed?.with { $0.clientDidBecomeWritable() }
    }

    func sendHead(_ head: ResponseHead, hasBody: Bool) {
        guard !isClosed, !isHeadSent else { return }
        if head.isInterim {
            connection.inform(stream: id, head)
        } else {
            isHeadSent = true
            if !hasBody {
                isOutputEnded = true
                outputDidEnd()
            }
            connection.respond(stream: id, head, hasBody ? self : nil)
        }
        connection.schedule()
    }

    override func outputDidEnd() {
        if !isInputEnded { connection.stopRequest(self) }
    }

    /// Ends the stream; with an error the peer must not take what it has for the whole.
    func end(_ error: LinkError?) {
        guard !isClosed else { return }
        guard error != nil || !isHeadSent else { return finish() }
        connection.reset(stream: id, code: HTTP2Error.internalError)
        connection.schedule()
    }

    /// The stream is over.
    func close(code: UInt32) {
        guard !isClosed else { return }
        markClosed()
        dropBacklog()
        let ended = conversation
        conversation = nil
        ended?.clientDidClose(code == 0 ? nil : .socket(.canceled))
    }
}
