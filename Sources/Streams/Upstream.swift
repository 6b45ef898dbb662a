public import Bytes
public import Loop

/// A link to a backend or to another Ratel, lent by its pool to one conversation at a time.
public final class Upstream: Link {
    /// The pool that made it; pools live as long as their loop.
    let pool: Borrowed<UpstreamPool>
    /// Whether it served a request before.
    private(set) var isReused = false

    /// The conversation outlives the loan: it detaches before it ends.
    private var conversation: Borrowed<Conversation>?
    private var timer: LoopTimer?
    private var remaining: [Address]
    private let target: UpstreamTarget

    init(pool: UpstreamPool, target: UpstreamTarget, addresses: [Address]) {
        self.pool = Borrowed(pool)
        self.target = target
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
        conversation?.with { $0.upstreamDidOpen(self) }
    }

    // MARK: Lending

    func lend(to conversation: Conversation) {
        self.conversation = Borrowed(conversation)
        isReused = true
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
        conversation = nil
        pool.with { $0.forget(self) }
        timer?.close()
        timer = nil
        close()
    }

    // MARK: What the link tells

    public override func didReceive(_ plaintext: consuming Buffer) {
        guard let conversation else { return discard() }
        conversation.with(plaintext) { $0.upstreamDidReceive($1) }
    }

    public override func didReceiveEnd() {
        guard let conversation else { return discard() }
        conversation.with { $0.upstreamDidEnd() }
    }

    public override func didBecomeWritable() {
        conversation?.with { $0.upstreamDidBecomeWritable() }
    }

    public override func didBreak(_ error: LinkError) {
        abandon(error)
    }

    private func abandon(_ error: LinkError) {
        let wasOpen = phase == .open
        let addresses = remaining
        let waiting = conversation
        discard()
        guard let waiting else { return }
        if !wasOpen, !addresses.isEmpty, case .socket = error {
            let conversation = waiting.object
            pool.with { $0.connect(to: addresses, for: conversation) }
            return
        }
        waiting.with { $0.upstreamDidBreak(error, wasOpen: wasOpen) }
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
