internal import Bytes
internal import HTTP
internal import Loop

/// A connection to an upstream that speaks HTTP/2: it carries the streams of many conversations.
final class HTTP2Upstream: HTTP2Carrier {
    /// The link owns this and outlives it.
    private let lent: Borrowed<Upstream>
    private var streams: [Int32: UpstreamStream] = [:]
    private var hasServed = false

    init(link: Upstream) {
        lent = Borrowed(link)
        super.init(.client, on: link)
    }

    override var isIdle: Bool { streams.isEmpty }
    override var budgets: Budgets { lent.with { $0.budgets } }
    /// Shorter than the peer's, which is the same by default: a request that meets its GOAWAY is
    /// lost.
    override var idleBudget: UInt64 { budgets.idle / 5 * 4 }
    override func endLink(_ error: LinkError?) {
        let link = lent.object
        if let error { link.abandon(error) } else { link.discard() }
    }
    override func endIdle() { drain() }

    /// Whether another conversation finds a place here.
    var hasRoom: Bool {
        !isWornOut && streams.count < peerStreams
    }

    /// Whether nobody finds a place here again. Callers that leave by the hundred are not to end
    /// the connection of those who stay, so another one takes the next.
    private var isWornOut: Bool {
        isDraining || !allowsRequests || !sparesEveryStream
            || lent.with { $0.remainingLife == 0 }
    }

    /// Whether the peer has still to say how many it takes.
    var isSettling: Bool { !isDraining && !hasSettings }

    /// Whether nobody will find a place here again, and it goes with its last stream.
    func retireIfOver() {
        if isWornOut { drain() }
    }

    /// Opens a stream for the conversation, which is told at once.
    func open(for conversation: Conversation) {
        let stream = UpstreamStream(on: self, for: conversation, isReused: hasServed)
        hasServed = true
        conversation.upstreamWasChosen(.stream(stream))
        conversation.upstreamDidOpen(stream)
    }

    func begin(_ stream: UpstreamStream, _ head: RequestHead, hasBody: Bool) -> Bool {
        guard let id = request(head, hasBody: hasBody, stream) else { return false }
        stream.id = id
        let wasIdle = streams.isEmpty
        streams[id] = stream
        if wasIdle { watch() }
        return true
    }

    func cancel(_ stream: UpstreamStream) {
        guard stream.id != 0 else { return }
        reset(stream: stream.id, code: HTTP2Error.cancel)
        schedule()
    }

    override func didReceiveHead(_ head: HTTP2Head, stream id: Int32, hasBody: Bool) {
        guard !head.isTooLarge else {
            let most = "a header list of at most \(limits.maximumHeaderList) bytes"
            streams[id]?.refuse(.badAnswer(most, "more"))
            return
        }
        streams[id]?.receiveHead(head, hasBody: hasBody)
    }

    override func didReceiveEnd(stream id: Int32, trailers: [UInt8]) {
        streams[id]?.receiveEnd(trailers: trailers)
    }

    override func didClose(stream id: Int32, code: UInt32) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        stream.close(code: code)
        if streams.isEmpty { watch() }
        if isDraining { schedule() }
        lent.with { link in link.pool.with { $0.serveWaiting() } }
    }

    override func didReceiveSettings() {
        lent.with { link in link.pool.with { $0.serveWaiting() } }
    }

    override func didReceiveGoAway() {
        guard !isDraining else { return }
        isDraining = true
        schedule()
    }

    override func linkDidClose(_ error: LinkError?) {
        let all = Array(streams.values)
        streams = [:]
        for stream in all {
            stream.close(code: HTTP2Error.cancel, error ?? .socket(.canceled))
        }
        super.linkDidClose(error)
    }
}
