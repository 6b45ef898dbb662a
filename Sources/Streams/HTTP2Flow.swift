internal import Bytes
internal import HTTP
internal import Loop

/// One stream of an HTTP/2 connection, as the conversation on it sees it: both ways it looks like a
/// connection of HTTP/1.1 of its own.
///
/// What comes in is handed on as HTTP/1.1 would bring it, body framing included, and waits here
/// while the conversation is busy; what goes out waits here, at most two buffers, until the
/// connection writes it into a record that it shares with others.
class HTTP2Flow: HTTP2Body {
    /// The connection outlives its streams: it forgets them before it goes, and they it.
    private let lent: Borrowed<HTTP2Carrier>
    /// Outlives every stream on it.
    private let pool: Borrowed<BufferPool>
    /// The stream's identifier; 0 before a request is sent.
    final var id: Int32

    // In.
    /// Whether the peer's body has no length, and goes on in chunks.
    final var isChunked = false
    /// Whether the peer has ended its side.
    final var isInputEnded: Bool
    private final var isPaused = false
    private final var isDelivering = false
    /// Framed bytes that wait for the conversation.
    private final var backlog: [UInt8] = []
    private final var backlogUsed = 0
    /// Bytes of the body that the peer may not send again before they are used.
    private final var owed = 0
    /// How many of them are in the backlog.
    private final var kept = 0

    // Out.
    final var isHeadSent = false
    private final var output: Buffer?
    private final var queued: Buffer?
    private final var own: [UInt8] = []
    private final var ownUsed = 0
    private final var lastLines: [UInt8] = []
    final var isOutputEnded = false
    private(set) final var isClosed = false

    /// The largest piece of a body that fits one record with a chunk's framing: 6 digits and two
    /// line ends.
    private static let piece = BufferPool.plaintextSize - 16
    /// Bytes used before the peer is told so: a sixteenth of the window, so that a token costs no
    /// look at it.
    private static let telling = 16 * 1024

    init(_ id: Int32, on carrier: HTTP2Carrier, hasBody: Bool) {
        self.id = id
        lent = Borrowed(carrier)
        pool = Borrowed(carrier.link.loop.buffers)
        isInputEnded = !hasBody
        super.init()
    }

    /// Counted; for paths that are not hot.
    final var carrier: HTTP2Carrier { lent.object }

    @inline(__always) final var now: UInt64 { lent.with { $0.now } }

    @inline(__always) final func moved(last: UInt64, now: UInt64) {
        lent.with { $0.moved(last: last, now: now) }
    }

    // MARK: What it tells

    /// Bytes for the conversation.
    func deliver(_ buffer: consuming Buffer) {}
    /// More may be sent.
    func becameWritable() {}
    /// The last byte is on its way.
    func outputDidEnd() {}
    /// What waits cannot be delivered any more.
    func failDelivery() {}

    // MARK: In

    final override func didReceive(_ bytes: Span<UInt8>) {
        lent.with { $0.took(bytes.count) }
        owed &+= bytes.count
        guard !isPaused, !isDelivering, backlogUsed == backlog.count,
            bytes.count <= HTTP2Flow.piece, let buffer = framed(bytes)
        else { return keep(bytes) }
        isDelivering = true
        deliver(buffer)
        isDelivering = false
        if backlogUsed < backlog.count {
            deliverBacklog()
        } else if owed >= HTTP2Flow.telling, !isPaused {
            tellUsed()
        }
    }

    /// Lets the peer send as many bytes as were used.
    private final func tellUsed() {
        guard !isClosed, owed > 0 else { return }
        lent.with {
            $0.consumed(owed, stream: id)
            $0.schedule()
        }
        owed = 0
    }

    /// The peer ended its side, with these field lines behind its body.
    final func receiveEnd(trailers: [UInt8]) {
        guard !isInputEnded else { return }
        isInputEnded = true
        if isChunked {
            backlog += Array("0\r\n".utf8) + trailers + [0x0D, 0x0A]
            deliverBacklog()
        }
    }

    /// A head, as HTTP/1.1 has it.
    final func receiveHead(_ head: [UInt8]) {
        backlog += head
        deliverBacklog()
    }

    /// Bytes as HTTP/1.1 brings them; nil when no buffer is free.
    private final func framed(_ bytes: Span<UInt8>) -> Buffer? {
        guard var buffer = lendBuffer() else { return nil }
        if isChunked {
            buffer.appendChunkHead(bytes.count)
            _ = buffer.append(bytes)
            buffer.appendLineEnd()
        } else {
            _ = buffer.append(bytes)
        }
        return buffer
    }

    private final func lendBuffer() -> Buffer? {
        var buffer: Buffer?
        pool.with { buffer = $0.lendForReading() }
        return buffer
    }

    private final func keep(_ bytes: Span<UInt8>) {
        if isChunked { backlog += Array((String(bytes.count, radix: 16) + "\r\n").utf8) }
        backlog.append(copying: bytes)
        if isChunked { backlog += [0x0D, 0x0A] }
        kept += bytes.count
        carrier.keeps(bytes.count)
        deliverBacklog()
    }

    /// Hands on what waits, as far as the conversation can take it.
    private final func deliverBacklog() {
        guard !isDelivering else { return }
        isDelivering = true
        defer { isDelivering = false }
        while !isPaused, backlogUsed < backlog.count, var buffer = lendBuffer() {
            let end = min(backlog.count, backlogUsed + BufferPool.plaintextSize)
            _ = buffer.append(backlog.span.extracting(backlogUsed..<end))
            backlogUsed = end
            deliver(buffer)
        }
        if backlogUsed == backlog.count {
            dropBacklog()
            if !isPaused { tellUsed() }
        } else if !isPaused {
            // No buffer was free: tried again when some are.
            if isClosed { failDelivery() } else { carrier.retry(self) }
        }
    }

    /// Gives up what waits.
    final func dropBacklog() {
        backlog.removeAll(keepingCapacity: false)
        backlogUsed = 0
        if kept > 0, !isClosed { carrier.keeps(-kept) }
        kept = 0
    }

    final func retry() { deliverBacklog() }

    final func pause() { isPaused = true }

    final func resume() {
        guard isPaused else { return }
        isPaused = false
        deliverBacklog()
    }

    // MARK: Out

    final var isWritable: Bool { queued == nil && !isClosed }

    /// Whether something is not on its way yet.
    final var hasUnsent: Bool { output != nil || ownUsed < own.count }

    final func sendOwn(_ body: [UInt8]) {
        guard !isClosed else { return }
        own = body
        tellMore()
    }

    @inline(__always)
    final func send(_ buffer: consuming Buffer) -> WriteOutcome {
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

    /// Ends this side, with field lines behind the body.
    final func finish(trailers: [UInt8] = []) {
        guard !isClosed, !isOutputEnded else { return }
        lastLines = trailers
        isOutputEnded = true
        tellMore()
    }

    private final func tellMore() {
        lent.with {
            $0.hasMore(stream: id)
            $0.schedule()
        }
    }

    final override var trailers: [UInt8] { lastLines }

    final override func available() -> (count: Int, isLast: Bool) {
        let count = ownUsed < own.count ? own.count - ownUsed : (output?.count ?? 0)
        return (count, isOutputEnded && queued == nil)
    }

    final override func take(_ count: Int, into record: inout Buffer) {
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
                carrier.becameWritable(self)
            }
        }
        if isOutputEnded, !hasUnsent { outputDidEnd() }
    }

    /// Nothing more comes or goes, but for what waits for the conversation.
    final func markClosed() {
        if kept > 0 { carrier.keeps(-kept) }
        kept = 0
        isClosed = true
        output = nil
        queued = nil
    }
}
