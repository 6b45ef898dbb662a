internal import Bytes
internal import HTTP
internal import Loop

/// A link that speaks HTTP/2: its streams share records and system calls.
///
/// What the streams have when the loop's events are done goes out in one pass: one record and one
/// write for the tokens of many.
class HTTP2Carrier: HTTP2Session {
    /// The link owns this and outlives it.
    private let lent: Borrowed<Link>
    private var flusher: Flusher? {
        didSet { follower = flusher.map { Borrowed($0) } }
    }
    private var follower: Borrowed<Flusher>?
    private var writable: [HTTP2Flow] = []
    private var retrying: [HTTP2Flow] = []
    /// Whether one of the two holds something.
    private var hasTold = false
    private var timer: LoopTimer?
    private var lastHeard: UInt64 = 0
    private var isPinging = false
    /// When the link last had room for a record.
    private var lastTaken: UInt64 = 0
    /// Nothing more is taken from the peer.
    private var isFailed = false
    private var hasEnded = false
    /// Bytes taken that the peer may not send again on the connection yet.
    private var taken = 0
    /// Bytes that wait here for their conversations.
    private var kept = 0
    /// Bytes of the peer's exchange in the present read.
    private var control: [UInt8] = []
    final var isDraining = false

    /// Bytes of all streams that may wait here while each has a place of its own: 64 stalled ones
    /// with a full window. Beyond it the whole connection waits.
    private static let keeping = 64 * 256 * 1024
    /// Bytes taken before the peer is told that it may send more: a sixty-fourth of the window.
    private static let telling = 16 * 1024

    /// Sends when the loop's events are done.
    private final class Flusher: LoopFollower {
        private let connection: Borrowed<HTTP2Carrier>

        init(_ connection: HTTP2Carrier) {
            // The connection owns this, and is told nothing once it is closed.
            self.connection = Borrowed(connection)
            super.init()
        }

        override func eventsAreDone() { connection.with { $0.flush() } }
    }

    init(_ role: Role, on link: Link) {
        lent = Borrowed(link)
        super.init(role)
    }

    /// Counted; for paths that are not hot.
    final var link: Link { lent.object }
    @inline(__always) final var now: UInt64 { lent.with { $0.now } }

    @inline(__always) final func moved(last: UInt64, now: UInt64) {
        lent.with { $0.streamMoved(last: last, now: now) }
    }

    // MARK: What subclasses say and do

    /// Whether no stream is open.
    var isIdle: Bool { true }
    /// How long each wait may last.
    var budgets: Budgets { Budgets() }
    /// How long it may be without a stream.
    var idleBudget: UInt64 { budgets.idle }
    /// Ends the link, and so everything on it.
    func endLink(_ error: LinkError?) {}
    /// A record went out.
    func didSendRecord() {}
    /// Nobody asked for anything for long.
    func endIdle() {}

    final func begin() {
        flusher = Flusher(self)
        lastHeard = link.now
        lastTaken = lastHeard
        timer = LoopTimer(on: link.loop) { [unowned self] in self.watchfulness() }
        watch()
        schedule()
    }

    // MARK: In

    final func didReceive(_ buffer: consuming Buffer) {
        guard !isFailed else { return }
        lastHeard = now
        isPinging = false
        do throws(HTTP2Error) {
            try receive(buffer.bytes, now: lastHeard)
        } catch {
            isFailed = true
            // Tells the peer why, as far as it still reads.
            flush()
            return end(.refused(.badFrames(error)))
        }
        if !control.isEmpty { deliverControl() }
        schedule()
    }

    /// Bytes of a body came, and have a place.
    @inline(__always)
    final func took(_ count: Int) {
        taken &+= count
        if taken >= HTTP2Carrier.telling { giveWindow() }
    }

    /// Bytes wait here, or no longer where `count` is negative.
    final func keeps(_ count: Int) {
        kept += count
        link.loop.keptBytes += count
        if count < 0, taken >= HTTP2Carrier.telling { giveWindow() }
    }

    private final func giveWindow() {
        guard kept < HTTP2Carrier.keeping, lent.with({ $0.loop.mayKeepMore }) else { return }
        consumed(taken)
        taken = 0
        schedule()
    }

    override final func didReceiveControl(_ bytes: Span<UInt8>) {
        // Who is not attested by an exchange has none to go on with; other uses of the type are
        // passed over (RFC 9113 section 5.5).
        guard lent.with({ $0.keeper != nil }) else { return }
        control.append(copying: bytes)
    }

    /// What comes of it may end the connection, which the library's own calls must not.
    private final func deliverControl() {
        let bytes = control
        control = []
        link.keeper?.receive(bytes, on: link)
    }

    // MARK: Out

    /// Sends bytes of this side's exchange.
    final func sendControl(_ bytes: [UInt8]) {
        submitControl(bytes)
        schedule()
    }

    /// Says that no stream begins any more, as far as the peer still reads.
    final func goAwayNow() {
        if !isDraining { goAway() }
        isDraining = true
        flush()
    }

    /// Sends at the end of this pass of the loop.
    @inline(__always)
    final func schedule() {
        guard let follower else { return }
        follower.with { follower in lent.with { $0.afterEvents(tell: follower) } }
    }

    final func becameWritable(_ flow: HTTP2Flow) {
        writable.append(flow)
        hasTold = true
    }

    final func retry(_ flow: HTTP2Flow) {
        retrying.append(flow)
        hasTold = true
        link.awaitWritability()
    }

    final func flush() {
        lent.with { flush(to: $0) }
    }

    private final func flush(to link: Link) {
        guard !link.isClosing else { return }
        if hasTold { tellFlows() }
        if link.isWritable { lastTaken = link.now }
        while !link.isClosing, link.isWritable, wantsToSend {
            guard let record = link.lendBuffer() else {
                link.awaitWritability()
                break
            }
            do throws(HTTP2Error) {
                let filled = try fill(record)
                if filled.isEmpty { break }
                if case .failed(let error) = link.send(filled) {
                    return end(.socket(error))
                }
            } catch {
                return end(.refused(.badFrames(error)))
            }
            didSendRecord()
            if hasTold { tellFlows() }
        }
        guard !link.isClosing, link.isWritable else { return }
        if isDraining, isIdle, !wantsToSend {
            endInOrder()
        } else if isOver {
            endAsOver()
        }
    }

    private final func tellFlows() {
        hasTold = false
        let (told, again) = (writable, retrying)
        writable = []
        retrying = []
        // What a stream that is over has left to say is said all the same.
        for flow in again { flow.retry() }
        for flow in told where !flow.isClosed { flow.becameWritable() }
    }

    // MARK: Ends

    /// Begins no more streams; the link ends with the last of them.
    final func drain() {
        guard !isDraining else { return }
        isDraining = true
        goAway()
        schedule()
    }

    private final func endInOrder() {
        link.finish()
        endLink(nil)
    }

    /// The library has said why, or both sides have gone away.
    private final func endAsOver() {
        guard !isFailed else { return }
        isFailed = true
        if complaint == nil { endInOrder() } else { end(.refused(.badFrames(violation))) }
    }

    private final func end(_ error: LinkError) {
        guard !hasEnded else { return }
        hasEnded = true
        endLink(error)
    }

    /// Starts the budget of the present state anew.
    final func watch() {
        timer?.start(after: isIdle ? idleBudget : min(budgets.ping, budgets.gap))
    }

    /// A link on which streams wait is asked for a sign of life when nothing came for long: who
    /// went without a word is noticed before the gap's budget ends each stream.
    private final func watchfulness() {
        // Who says much and reads nothing keeps its streams' buffers, and its GOAWAY is not sent.
        if !link.isWritable, now - lastTaken >= budgets.gap { return end(.socket(.timedOut)) }
        if isIdle {
            endIdle()
            timer?.start(after: budgets.gap)
            return schedule()
        }
        let silence = now - lastHeard
        if isPinging { return end(.socket(.timedOut)) }
        guard silence >= budgets.ping else {
            timer?.start(after: min(budgets.ping - silence, budgets.gap))
            return
        }
        isPinging = true
        ping()
        schedule()
        timer?.start(after: budgets.pong)
    }

    /// The link is closing.
    func linkDidClose(_ error: LinkError?) {
        if let flusher { link.loop.forget(flusher) }
        flusher = nil
        timer?.close()
        timer = nil
        writable = []
        let waiting = retrying
        retrying = []
        for flow in waiting where flow.isClosed { flow.retry() }
        link.loop.keptBytes -= kept
        kept = 0
    }
}

extension EventLoop {
    /// Whether bodies may wait on this loop beyond their connection's own window: 128 MiB of all
    /// connections together, twice the slab of buffers.
    @inline(__always)
    fileprivate var mayKeepMore: Bool { keptBytes < 128 << 20 }
}

extension Failure {
    static func badFrames(_ error: HTTP2Error) -> Failure {
        Failure(
            status: 400, code: "http2.refused", message: "the connection breaks HTTP/2's rules",
            stage: "request", expected: "frames as RFC 9113 has them", got: error.reason)
    }
}
