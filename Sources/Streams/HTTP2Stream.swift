internal import Bytes
internal import HTTP
internal import Loop

/// One stream of an HTTP/2 connection and the conversation on it: its one request and answer.
///
/// The request is handed to the conversation as HTTP/1.1 would bring it, body framing included; the
/// answer's bytes wait here, at most two buffers, until the connection writes them into a record.
final class HTTP2Stream: HTTP2Body {
    let id: Int32
    /// The connection outlives its streams: it forgets them before it goes.
    private let lent: Borrowed<HTTP2Connection>
    private(set) var conversation: Conversation?

    /// Whether the request's body has no length, and goes on in chunks.
    private let isChunked: Bool
    private var isRequestEnded: Bool
    private var isPaused = false
    private var isDelivering = false
    /// Framed body that waits for the conversation.
    private var backlog: [UInt8] = []
    private var backlogUsed = 0
    /// Bytes of the body that the peer may not send again before they are used.
    private var owed = 0

    private var isHeadSent = false
    private var output: Buffer?
    private var queued: Buffer?
    private var own: [UInt8] = []
    private var ownUsed = 0
    private var isAnswerEnded = false
    private(set) var isClosed = false

    /// The largest piece of a body that fits one record with a chunk's framing: 6 digits and two
    /// line ends.
    private static let piece = BufferPool.plaintextSize - 16

    init(_ id: Int32, on connection: HTTP2Connection, isChunked: Bool, hasBody: Bool) {
        self.id = id
        lent = Borrowed(connection)
        self.isChunked = isChunked
        isRequestEnded = !hasBody
        super.init()
    }

    /// Counted; for paths that are not hot.
    var connection: HTTP2Connection { lent.object }

    @inline(__always) var now: UInt64 { lent.with { $0.now } }

    @inline(__always) func moved(last: UInt64, now: UInt64) {
        lent.with { $0.moved(last: last, now: now) }
    }

    // MARK: The request

    func begin(_ head: consuming Buffer, handler: any RequestHandler) {
        let conversation = Conversation(caller: .stream(self), handler: handler)
        self.conversation = conversation
        conversation.begin()
        conversation.clientDidReceive(head)
    }

    func receive(_ bytes: Span<UInt8>) {
        owed += bytes.count
        var offset = 0
        while offset < bytes.count {
            let end = min(bytes.count, offset + HTTP2Stream.piece)
            frame(bytes.extracting(offset..<end))
            offset = end
        }
        deliver()
    }

    func receiveEnd() {
        guard !isRequestEnded else { return }
        isRequestEnded = true
        if isChunked { backlog += Array("0\r\n\r\n".utf8) }
        deliver()
    }

    private func frame(_ bytes: Span<UInt8>) {
        if isChunked { backlog += Array((String(bytes.count, radix: 16) + "\r\n").utf8) }
        backlog += Array(copying: bytes)
        if isChunked { backlog += [0x0D, 0x0A] }
    }

    /// Hands on what waits, as far as the conversation can take it.
    private func deliver() {
        guard !isDelivering else { return }
        isDelivering = true
        defer { isDelivering = false }
        while !isPaused, !isClosed, backlogUsed < backlog.count,
            var buffer = connection.downstream.lendBuffer()
        {
            let end = min(backlog.count, backlogUsed + BufferPool.plaintextSize)
            _ = buffer.append(backlog.span.extracting(backlogUsed..<end))
            backlogUsed = end
            conversation?.clientDidReceive(buffer)
        }
        guard !isClosed else { return }
        if backlogUsed == backlog.count {
            backlog.removeAll(keepingCapacity: false)
            backlogUsed = 0
            if !isPaused, owed > 0 {
                connection.consumed(owed, stream: id)
                owed = 0
                connection.schedule()
            }
        } else if !isPaused {
            // No buffer was free: tried again with the connection's next pass.
            connection.retry(self)
        }
    }

    func retry() { deliver() }

    func pause() { isPaused = true }

    func resume() {
        isPaused = false
        deliver()
    }

    // MARK: The answer

    var isWritable: Bool { queued == nil && !isClosed }

    /// Whether something of the answer is not on its way yet.
    var hasUnsent: Bool { output != nil || ownUsed < own.count }

    func sendHead(_ head: ResponseHead, hasBody: Bool) {
        guard !isClosed, !isHeadSent else { return }
        if head.isInterim {
            connection.inform(stream: id, head)
        } else {
            isHeadSent = true
            if !hasBody { isAnswerEnded = true }
            connection.respond(stream: id, head, hasBody ? self : nil)
        }
        connection.schedule()
    }

    func sendOwn(_ body: [UInt8]) {
        guard !isClosed else { return }
        own = body
        tellMore()
    }

    @inline(__always)
    func send(_ buffer: consuming Buffer) -> WriteOutcome {
        guard !isClosed else { return .failed(.canceled) }
        if buffer.isEmpty { return .sent }
        guard var waiting = output.take() else {
            output = consume buffer
            tellMore()
            return .sent
        }
        if waiting.room < buffer.count { waiting.compact() }
        guard waiting.room >= buffer.count else {
            output = consume waiting
            queued = consume buffer
            return .pending
        }
        // Tokens that come faster than records go out share one.
        _ = waiting.append(buffer.bytes)
        output = consume waiting
        return .sent
    }

    func finish() {
        guard !isClosed, !isAnswerEnded else { return }
        isAnswerEnded = true
        tellMore()
    }

    /// Ends the stream; with an error the peer must not take what it has for the whole.
    func end(_ error: LinkError?) {
        guard !isClosed else { return }
        guard error != nil || !isHeadSent else { return finish() }
        connection.reset(stream: id, code: HTTP2Error.internalError)
        connection.schedule()
    }

    private func tellMore() {
        lent.with {
            $0.hasMore(stream: id)
            $0.schedule()
        }
    }

    override func available() -> (count: Int, isLast: Bool) {
        let count = ownUsed < own.count ? own.count - ownUsed : (output?.count ?? 0)
        return (count, isAnswerEnded && queued == nil)
    }

    override func take(_ count: Int, into record: inout Buffer) {
        if ownUsed < own.count {
            _ = record.append(own.span.extracting(ownUsed..<ownUsed + count))
            ownUsed += count
        } else if var bytes = output.take() {
            _ = record.append(bytes.bytes.extracting(0..<count))
            bytes.consume(count)
            if !bytes.isEmpty {
                output = consume bytes
            } else if let next = queued.take() {
                output = consume next
                connection.becameWritable(self)
            }
        }
        // An answer to half a request: the peer need not send the rest (RFC 9113 section 8.1).
        if isAnswerEnded, !isRequestEnded, !hasUnsent { connection.stopRequest(self) }
    }

    func becameWritable() {
        if !isClosed { conversation?.clientDidBecomeWritable() }
    }

    /// The stream is over.
    func close(code: UInt32) {
        guard !isClosed else { return }
        isClosed = true
        output = nil
        queued = nil
        backlog = []
        conversation?.clientDidClose(code == 0 ? nil : .socket(.canceled))
        conversation = nil
    }

    func expire() { conversation?.drain() }
}
