public import Bytes
internal import HTTP
public import Loop

/// A link to a backend or to another Ratel, lent by its pool to one conversation at a time, or to
/// as many as it has streams where it speaks HTTP/2.
public final class Upstream: Link {
    /// The pool that made it; pools live as long as their loop.
    let pool: Borrowed<UpstreamPool>
    /// Whether it served a request before.
    private(set) var isReused = false

    /// The conversation outlives the loan: it detaches before it ends.
    private var conversation: Borrowed<Conversation>?
    /// In place of it where the link speaks HTTP/2; `borrowed` is the same, uncounted.
    private var multiplexed: HTTP2Upstream? {
        didSet { borrowed = multiplexed.map { Borrowed($0) } }
    }
    private var borrowed: Borrowed<HTTP2Upstream>?
    private var timer: LoopTimer?
    private var remaining: [Address]
    /// Whether this link's reads tell how the backend sends.
    private var isTried = false
    private var trial = Acknowledging.Trial()

    private var target: UpstreamTarget { pool.with { $0.target } }
    var budgets: Budgets { target.budgets }

    init(pool: UpstreamPool, addresses: [Address]) {
        self.pool = Borrowed(pool)
        remaining = addresses
        super.init(on: pool.loop, kind: addresses[0])
    }

    // MARK: Connecting

    func start(for conversation: Conversation) {
        self.conversation = Borrowed(conversation)
        arm(target.budgets.connect) { [unowned self] in
            self.abandon(.socket(.timedOut))
        }
        do {
            try connect(to: remaining.removeFirst())
        } catch {
            abandon(.socket(error))
        }
    }

    public override func didConnect(_ failure: SocketError?) {
        if let failure { return abandon(.socket(failure)) }
        if target.announcesCaller, !announceCaller() { return abandon(.refused(.noBuffer)) }
        switch target.security {
        case .plain:
            beginAcknowledging()
            begin()
        case .tls(let currentContext, let serverName, let makePreamble):
            arm(target.budgets.handshake) { [unowned self] in
                self.abandon(.refused(.handshakeTimedOut))
            }
            begin(currentContext(), serverName: serverName, preamble: makePreamble())
        }
    }

    private func announceCaller() -> Bool {
        guard let conversation, var buffer = lendBuffer() else { return false }
        let header = conversation.with { $0.caller.link.announcement }
        _ = buffer.append(header.span)
        // A fresh connection takes it at once; what follows waits for it otherwise.
        if case .failed = write(buffer) { return false }
        return true
    }

    public override func didOpen() {
        timer?.stop()
        let first = conversation?.object
        guard speaksHTTP2 else {
            pool.with { $0.didOpen(self) }
            first?.upstreamDidOpen(self)
            return
        }
        conversation = nil
        let carrier = HTTP2Upstream(link: self)
        multiplexed = carrier
        // Windows and resets come here, and what they end gives buffers back.
        readsIn = .first
        carrier.begin()
        pool.with { $0.didOpen(carrier, for: first) }
    }

    // MARK: Lending

    func lend(to conversation: Conversation) {
        self.conversation = Borrowed(conversation)
        isReused = true
        trial = Acknowledging.Trial()
        timer?.stop()
    }

    /// Detaches from the conversation; the link waits for the next one.
    func rest() {
        conversation = nil
        arm(target.budgets.pooled) { [unowned self] in self.discard() }
        resume()
    }

    /// Detaches and closes.
    func discard() {
        let isGivenUp = conversation != nil && phase != .open && !isClosing
        conversation = nil
        pool.with { $0.forget(self, multiplexed) }
        timer?.close()
        timer = nil
        let carrier = multiplexed
        close()
        carrier?.linkDidClose(nil)
        if isGivenUp { pool.with { $0.openingWasGivenUp() } }
        // It may never have said how many it takes, and others wait for that.
        if carrier != nil { pool.with { $0.serveWaiting() } }
    }

    public override func didClose() {
        super.didClose()
        multiplexed = nil
    }

    // MARK: What the link tells

    public override func didReceive(_ plaintext: consuming Buffer) {
        if let borrowed { return borrowed.with(plaintext) { $0.didReceive($1) } }
        guard let conversation else { return discard() }
        if isTried { noteRead(plaintext.count) }
        conversation.with(plaintext) { $0.upstreamDidReceive($1) }
    }

    public override func didReceiveEnd() {
        if multiplexed != nil { return abandon(.socket(.ended)) }
        guard let conversation else { return discard() }
        conversation.with { $0.upstreamDidEnd() }
    }

    public override func didBecomeWritable() {
        if let borrowed { return borrowed.with { $0.flush() } }
        conversation?.with { $0.upstreamDidBecomeWritable() }
    }

    public override func didBreak(_ error: LinkError) {
        abandon(error)
    }

    public override func sendControl(_ bytes: [UInt8]) { multiplexed?.sendControl(bytes) }

    public override func endAdmission(_ failure: Failure, afterStreams: Bool) {
        expiresAt = now
        guard afterStreams else {
            multiplexed?.goAwayNow()
            return abandon(.refused(failure))
        }
        multiplexed?.retireIfOver()
    }

    // MARK: Acknowledgements

    private func beginAcknowledging() {
        guard case .ip = target.address else { return }
        isTried = pool.with { $0.acknowledging.begins(now: now) }
        if isTried { acknowledge(late: true) }
    }

    private func noteRead(_ bytes: Int) {
        pool.with { pool in
            if pool.acknowledging.isTrying {
                pool.acknowledging.note(&trial, bytes: bytes, now: now)
            }
            switch pool.acknowledging.manner {
            case .trying: break
            case .late: isTried = false
            case .atOnce:
                isTried = false
                acknowledge(late: false)
            }
        }
    }

    func abandon(_ error: LinkError) {
        let wasOpen = phase == .open
        let addresses = remaining
        let waiting = conversation?.object
        conversation = nil
        if let multiplexed {
            pool.with { $0.forget(self, multiplexed) }
            // Who waits is served by another connection, but not after one that never said a word.
            if !multiplexed.hasSettings { pool.with { $0.didNotOpen(error, nil) } }
            multiplexed.linkDidClose(error)
            return discard()
        }
        discard()
        if !wasOpen {
            let mayGoOn = if case .socket = error { !addresses.isEmpty } else { false }
            pool.with { $0.didNotOpen(error, waiting, remaining: mayGoOn ? addresses : []) }
        } else {
            waiting?.upstreamDidBreak(error, wasOpen: true)
        }
    }

    private func arm(_ milliseconds: UInt64, _ fire: @escaping () -> Void) {
        timer?.close()
        let timer = LoopTimer(on: loop, fire)
        timer.start(after: milliseconds)
        self.timer = timer
    }
}

extension Failure {
    static let handshakeTimedOut = Failure(
        status: 504, code: "attestation.timeout",
        message: "TLS and attestation with the upstream took too long", stage: "attestation",
        expected: "an admitted peer within the handshake budget", got: "none")
}
