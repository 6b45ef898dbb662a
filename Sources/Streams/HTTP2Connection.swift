internal import Bytes
internal import HTTP
internal import Loop

/// A caller's connection that speaks HTTP/2: its streams share records and system calls.
///
/// What the streams have when the loop's events are done goes out in one pass: one record and one
/// write for the tokens of many.
final class HTTP2Connection: HTTP2Session {
    /// The link owns this and outlives it.
    private let lent: Borrowed<Downstream>
    private var streams: [Int32: HTTP2Stream] = [:]
    private let makeHandler: () -> any RequestHandler
    private var flusher: Flusher? {
        didSet { follower = flusher.map { Borrowed($0) } }
    }
    private var follower: Borrowed<Flusher>?
    private var idleTimer: LoopTimer?
    private var writable: [HTTP2Stream] = []
    private var retrying: [HTTP2Stream] = []
    private var stopped: [Int32] = []
    private var isDraining = false
    private var isFailed = false
    private var isReceiving = false

    /// Sends when the loop's events are done.
    private final class Flusher: LoopFollower {
        private let connection: Borrowed<HTTP2Connection>

        init(_ connection: HTTP2Connection) {
            // The connection owns this, and is told nothing once it is closed.
            self.connection = Borrowed(connection)
            super.init()
        }

        override func eventsAreDone() { connection.with { $0.flush() } }
    }

    init(downstream: Downstream, makeHandler: @escaping () -> any RequestHandler) {
        lent = Borrowed(downstream)
        self.makeHandler = makeHandler
        super.init()
    }

    /// Counted; for paths that are not hot.
    var downstream: Downstream { lent.object }
    @inline(__always) var now: UInt64 { lent.with { $0.now } }

    @inline(__always) func moved(last: UInt64, now: UInt64) {
        lent.with { $0.streamMoved(last: last, now: now) }
    }

    func begin() {
        flusher = Flusher(self)
        idleTimer = LoopTimer(on: downstream.loop) { [unowned self] in self.endIdle() }
        watch()
        schedule()
    }

    // MARK: In

    func didReceive(_ buffer: consuming Buffer) {
        guard !isFailed else { return }
        isReceiving = true
        defer { isReceiving = false }
        do throws(HTTP2Error) {
            try receive(buffer.bytes, now: downstream.now)
        } catch {
            isFailed = true
            flush()
            return downstream.end(.refused(.badFrames(error)))
        }
        schedule()
    }

    override func didReceiveHead(
        _ head: [UInt8], stream id: Int32, hasBody: Bool, isChunked: Bool
    ) {
        guard !isDraining, downstream.remainingLife > 0 || streams.isEmpty,
            head.count <= BufferPool.bufferSize, var buffer = downstream.lendBuffer()
        else { return reset(stream: id, code: HTTP2Error.refusedStream) }
        _ = buffer.append(head.span)
        let stream = HTTP2Stream(
            id, on: self, isChunked: isChunked, hasBody: hasBody)
        streams[id] = stream
        idleTimer?.stop()
        stream.begin(buffer, handler: makeHandler())
    }

    override func didReceiveData(_ bytes: Span<UInt8>, stream id: Int32) {
        guard let stream = streams[id] else { return consumed(bytes.count, stream: id) }
        stream.receive(bytes)
    }

    override func didReceiveEnd(stream id: Int32) {
        streams[id]?.receiveEnd()
    }

    override func didClose(stream id: Int32, code: UInt32) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        stream.close(code: code)
        if streams.isEmpty { watch() }
        if isDraining { schedule() }
    }

    // MARK: Out

    /// Sends at the end of this pass of the loop.
    @inline(__always)
    func schedule() {
        guard let follower else { return }
        follower.with { follower in lent.with { $0.loop.afterEvents(tell: follower) } }
    }

    func becameWritable(_ stream: HTTP2Stream) { writable.append(stream) }
    func retry(_ stream: HTTP2Stream) { retrying.append(stream) }
    func stopRequest(_ stream: HTTP2Stream) { stopped.append(stream.id) }

    func flush() {
        lent.with { flush(to: $0) }
    }

    private func flush(to link: Downstream) {
        guard !link.isClosing else { return }
        if !retrying.isEmpty { retryDeliveries() }
        while !link.isClosing, link.isWritable, wantsToSend {
            guard let record = link.lendBuffer() else {
                link.awaitWritability()
                break
            }
            do throws(HTTP2Error) {
                let filled = try fill(record)
                if filled.isEmpty { break }
                if case .failed(let error) = link.send(filled) {
                    return link.end(.socket(error))
                }
            } catch {
                return link.end(.refused(.badFrames(error)))
            }
            if !stopped.isEmpty { stopRequests() }
            if !writable.isEmpty { tellWritable() }
        }
        if isDraining, streams.isEmpty, !wantsToSend, !link.isClosing { endInOrder() }
    }

    private func stopRequests() {
        for id in stopped { reset(stream: id, code: HTTP2Error.noError) }
        stopped = []
    }

    private func tellWritable() {
        let told = writable
        writable = []
        for stream in told { stream.becameWritable() }
    }

    private func retryDeliveries() {
        let again = retrying
        retrying = []
        for stream in again { stream.retry() }
    }

    // MARK: Ends

    func drain() {
        guard !isDraining else { return }
        isDraining = true
        goAway()
        schedule()
    }

    private func endInOrder() {
        downstream.finish()
        downstream.end(nil)
    }

    private func endIdle() {
        guard streams.isEmpty else { return }
        drain()
    }

    private func watch() {
        idleTimer?.start(after: downstream.service.budgets.idle)
    }

    /// The link is closing.
    func clientDidClose(_ error: LinkError?) {
        if let flusher { downstream.loop.forget(flusher) }
        flusher = nil
        idleTimer?.close()
        idleTimer = nil
        let all = Array(streams.values)
        streams = [:]
        for stream in all { stream.close(code: HTTP2Error.cancel) }
        writable = []
        retrying = []
    }
}

extension Failure {
    static func badFrames(_ error: HTTP2Error) -> Failure {
        Failure(
            status: 400, code: "http2.refused", message: "the connection breaks HTTP/2's rules",
            stage: "request", expected: "frames as RFC 9113 has them", got: error.reason)
    }
}
