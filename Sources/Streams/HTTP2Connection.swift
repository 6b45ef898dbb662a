internal import Bytes
internal import HTTP
internal import Loop

/// A caller's connection that speaks HTTP/2, and the streams that the caller opened on it.
final class HTTP2Connection: HTTP2Carrier {
    /// The link owns this and outlives it.
    private let lent: Borrowed<Downstream>
    private var streams: [Int32: HTTP2Stream] = [:]
    private var stopped: [Int32] = []
    private let makeHandler: () -> any RequestHandler
    /// The first request is what the caller was admitted for, however short its admission.
    private var hasServed = false
    private var admission: LoopTimer?

    init(downstream: Downstream, makeHandler: @escaping () -> any RequestHandler) {
        lent = Borrowed(downstream)
        self.makeHandler = makeHandler
        super.init(.server, on: downstream)
    }

    /// Counted; for paths that are not hot.
    var downstream: Downstream { lent.object }
    override var isIdle: Bool { streams.isEmpty }
    override var budgets: Budgets { downstream.service.budgets }
    override func endLink(_ error: LinkError?) {
        if case .refused(let failure)? = error {
            downstream.endAfterGoAway(.refused(failure))
        } else {
            downstream.end(error)
        }
    }
    override func endIdle() { drain() }

    /// Tells the caller in time that its admission ends, so that its next request finds another
    /// connection and is not refused on this one. Before its first request it is told nothing.
    func watchAdmission() {
        guard downstream.expiresAt != nil, downstream.keeper?.renews != true else { return }
        let timer = LoopTimer(on: downstream.loop) { [unowned self] in
            if self.hasServed { self.drain() }
        }
        timer.start(after: downstream.remainingLife)
        admission?.close()
        admission = timer
    }

    override func didReceiveHead(_ head: HTTP2Head, stream id: Int32, hasBody: Bool) {
        guard !isDraining, downstream.remainingLife > 0 || !hasServed else {
            return reset(stream: id, code: HTTP2Error.refusedStream)
        }
        var text = head.request(hasBody: hasBody)
        // In the place of what cannot be handed on whole.
        let isTooLarge = head.isTooLarge || text.count > BufferPool.plaintextSize
        if isTooLarge { text = Array("GET / HTTP/1.1\r\nHost: h\r\n\r\n".utf8) }
        hasServed = true
        let stream = HTTP2Stream(id, on: self, hasBody: hasBody)
        stream.isChunked = hasBody && !head.isSized
        attach(stream, stream: id)
        let wasIdle = streams.isEmpty
        streams[id] = stream
        if wasIdle { watch() }
        stream.begin(
            text, handler: isTooLarge ? RefusingHandler(.largeHead(limits)) : makeHandler())
        if downstream.isTurnedAway || downstream.remainingLife == 0 { drain() }
    }

    override func didReceiveEnd(stream id: Int32, trailers: [UInt8]) {
        streams[id]?.receiveEnd(trailers: trailers)
    }

    override func didClose(stream id: Int32, code: UInt32) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        stream.close(code: code)
        if streams.isEmpty { watch() }
        if isDraining { schedule() }
    }

    /// The peer need not send the rest of a request that is answered (RFC 9113 section 8.1).
    func stopRequest(_ stream: HTTP2Stream) { stopped.append(stream.id) }

    override func didSendRecord() {
        guard !stopped.isEmpty else { return }
        for id in stopped { reset(stream: id, code: HTTP2Error.noError) }
        stopped = []
    }

    override func linkDidClose(_ error: LinkError?) {
        let all = Array(streams.values)
        streams = [:]
        for stream in all { stream.close(code: HTTP2Error.cancel) }
        admission?.close()
        admission = nil
        super.linkDidClose(error)
    }
}

extension Failure {
    static func largeHead(_ limits: HTTP2Limits) -> Failure {
        Failure(
            status: 431, code: "http.head.too_large",
            message: "the request cannot be read without doubt and is refused", stage: "request",
            expected: "a header list of at most \(limits.maximumHeaderList) bytes", got: "more")
    }
}
