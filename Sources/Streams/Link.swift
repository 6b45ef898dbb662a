public import Bytes
public import Loop
public import TLS

/// A byte stream to one peer, plain or under TLS, that carries nothing before it is opened.
///
/// Subclasses override what it tells. Every plaintext buffer that it delivers or takes holds at
/// most `BufferPool.plaintextSize` bytes, so that one buffer is one TLS record.
open class Link: Socket {
    /// Where a link stands between its first and last byte.
    public enum Phase: Sendable {
        case connecting, handshaking, preamble, open, finished
    }

    /// Where it stands.
    public final var phase: Phase { present }
    /// What ALPN chose; nil without TLS, or where it chose nothing.
    public private(set) final var applicationProtocol: String?
    /// Whether the peer speaks HTTP/2 once the link is open.
    public final var speaksHTTP2: Bool {
        guard let name = applicationProtocol else { return false }
        return name == "h2" || name.hasSuffix("+h2")
    }
    /// Whether the consumer asked for no more plaintext.
    public final var isPaused: Bool { hasPause }
    // Private, so that the compiler proves by itself that nothing reads them while they change.
    private final var present = Phase.connecting
    private final var hasPause = false

    final var session: TLSSession?
    final var isSecure = false
    /// A server's session begins with the caller's first byte: who only connects costs no TLS.
    final var awaitedContext: TLSContext?
    final var preamble: (any Preamble)?
    /// Ciphertext that waits for the consumer, or for a buffer to decrypt into.
    final var inbox: Buffer?
    /// Plaintext that waits for a buffer to encrypt into.
    final var stalled: Buffer?
    /// A record of the consumer's that waits for this side's own messages to be sent.
    final var queued: Buffer?
    /// What the peer sent behind its last preamble message, not delivered yet.
    final var leftover: [UInt8] = []
    final var leftoverUsed = 0
    /// close_notify was read; told once the leftover is delivered.
    final var hasEndOfInput = false
    /// This side's own messages (preamble frames), sent before anything else.
    final var outbox: [UInt8] = []
    final var outboxSent = 0
    final var isFinishing = false
    final var hasFinished = false
    final var didPeerEnd = false
    final var isPumping = false
    private final var awaitsWritability = false

    /// When, on the loop's clock, the peer's admission ends: no request begins after it.
    public final var expiresAt: UInt64?
    /// When, on that clock, answers under way are cut; nil where they are not.
    public final var cutsAt: UInt64?
    /// What is known of the admitted peer, for handlers and logs.
    public final var peer: AnyObject?
    /// What renews the admission; nil where nothing can.
    public final var keeper: (any AdmissionKeeper)?

    /// Milliseconds that the peer's admission still lasts.
    final var remainingLife: UInt64 {
        guard let expiresAt else { return .max }
        return expiresAt > now ? expiresAt - now : 0
    }

    // MARK: What it tells

    /// Application bytes may flow from now on.
    open func didOpen() {}
    /// Application bytes came.
    open func didReceive(_ plaintext: consuming Buffer) {}
    /// The peer will send no more application bytes, and said so properly.
    open func didReceiveEnd() {}
    /// More may be sent.
    open func didBecomeWritable() {}
    /// It is over; close it.
    open func didBreak(_ error: LinkError) {}

    /// Sends bytes of this side's exchange on an open link of HTTP/2.
    open func sendControl(_ bytes: [UInt8]) {}
    /// The peer's admission is over: no request begins, and the link ends, with its last stream or
    /// at once.
    open func endAdmission(_ failure: Failure, afterStreams: Bool) {}

    /// Bytes came before the link was begun.
    open func didReadEarly(_ bytes: consuming Buffer) {}

    // MARK: Beginning

    /// Starts a plaintext link, for loopback and for backends in the same trust domain.
    public final func begin() {
        readSize = BufferPool.plaintextSize
        present = .open
        didOpen()
        startReading()
    }

    /// Starts TLS on a connection that stands; the preamble decides when it opens.
    public final func begin(
        _ context: TLSContext, serverName: String?, preamble: any Preamble
    ) {
        isSecure = true
        self.preamble = preamble
        present = .handshaking
        if context.side == .server {
            awaitedContext = context
        } else {
            beginSession(context, serverName)
            if !isClosing { continueHandshake() }
        }
        if !isClosing { startReading() }
    }

    final func beginSession(_ context: TLSContext, _ serverName: String?) {
        do {
            session = try TLSSession(context, serverName: serverName)
        } catch {
            breakOff(.tls(error))
        }
    }

    /// Opens the link for application bytes; the passage must be this very session's.
    ///
    /// `leftover` is what the peer sent behind its last preamble message.
    public final func open(_ passage: consuming Passage, leftover: [UInt8]) {
        guard phase == .preamble, let channelID = session?.channelID,
            channelID == passage.channelID
        else {
            return didBreak(.refused(.wrongPassage))
        }
        openDelivering(leftover)
    }

    /// Opens the link so that this side can say why it refuses, and for nothing else.
    ///
    /// The subclass must forward nothing from it.
    public final func openForRefusal() {
        guard phase == .preamble else { return }
        openDelivering([])
    }

    final func openDelivering(_ leftover: [UInt8]) {
        preamble = nil
        present = .open
        self.leftover = leftover
        leftoverUsed = 0
        didOpen()
        if !isClosing { pump() }
    }

    // MARK: Going on

    public final override func didDrain() {
        if hasUnsent {
            resumeSending()
            guard !isWriting, !isClosing, !hasUnsent else { return }
        }
        if isFinishing { return finishNow() }
        if phase == .handshaking { return continueHandshake() }
        if phase == .open { didBecomeWritable() }
    }

    public final override func didRegainBuffers() {
        super.didRegainBuffers()
        // Who paused meanwhile has no place for what comes.
        if isPaused { stopReading() }
        if !isWriting, hasUnsent {
            resumeSending()
            if !isWriting, !isClosing, !hasUnsent {
                if isFinishing { finishNow() } else if phase == .open { didBecomeWritable() }
            }
        }
        if isClosing { return }
        if awaitsWritability {
            awaitsWritability = false
            if isWritable { didBecomeWritable() }
            if isClosing { return }
        }
        if phase == .handshaking { continueHandshake() } else { pump() }
    }

    /// Calls `didBecomeWritable` once there are buffers again.
    final func awaitWritability() {
        guard !awaitsWritability else { return }
        awaitsWritability = true
        awaitBuffers()
    }

    // MARK: Receiving

    /// Delivers no plaintext until `resume`; the peer feels it through TCP.
    public final func pause() {
        guard !isPaused else { return }
        hasPause = true
        stopReading()
    }

    /// Delivers plaintext again.
    public final func resume() {
        guard isPaused, !isClosing else { return }
        hasPause = false
        if inbox != nil || !leftover.isEmpty || hasEndOfInput { pump() }
        if !isPaused, !isClosing, !didPeerEnd { startReading() }
    }

    /// Takes what the peer still sends and drops it, so that closing does not reset away what it
    /// was sent last.
    final func discardInput() {
        present = .finished
        inbox = nil
        startReading()
    }

    public final override func didRead(_ buffer: consuming Buffer) {
        if phase == .finished { return }
        if phase == .connecting { return didReadEarly(buffer) }
        if !isSecure {
            didReceive(buffer)
            return
        }
        if let context = awaitedContext {
            awaitedContext = nil
            beginSession(context, nil)
            if isClosing { return }
        }
        if inbox == nil {
            inbox = consume buffer
        } else {
            appendToInbox(buffer)
            if isClosing { return }
        }
        if phase == .handshaking { continueHandshake() } else { pump() }
    }

    final func continueHandshake() {
        guard session != nil else { return }
        while !isWriting, !isClosing {
            guard var output = lendBuffer() else { return awaitBuffers() }
            var input = inbox.take()
            let progress = session!.handshake(&input, into: &output)
            let isUsedUp = input?.isEmpty ?? true
            if !isUsedUp { inbox = consume input } else { _ = consume input }
            if case .failed(let error) = write(output) { return breakOff(.socket(error)) }
            switch progress {
            case .wantsInput: return
            case .wantsOutput: continue
            case .failed(let error): return breakOff(.tls(error))
            case .complete(let handshake):
                present = .preamble
                applicationProtocol = handshake.applicationProtocol
                preamble?.begin(self, handshake: handshake)
                if !isClosing { pump() }
                return
            }
        }
    }

    final func peerEnded() {
        guard !didPeerEnd else { return }
        didPeerEnd = true
        stopReading()
        if phase == .open { didReceiveEnd() } else { breakOff(.socket(.ended)) }
    }

    public final override func didEnd() {
        if !isSecure { return peerEnded() }
        if didPeerEnd { return }
        breakOff(phase == .open ? .truncated : .socket(.ended))
    }

    public final override func didFail(_ error: SocketError) {
        breakOff(.socket(error))
    }

    final func breakOff(_ error: LinkError) {
        let waiting = preamble
        preamble = nil
        waiting?.linkDidBreak(self)
        if !isClosing { didBreak(error) }
    }

    open override func didClose() {
        present = .finished
        inbox = nil
        stalled = nil
        queued = nil
        leftover = []
        // Both may hold timers and jobs of their own.
        let waiting = preamble
        preamble = nil
        waiting?.linkDidBreak(self)
        let keeping = keeper
        keeper = nil
        keeping?.linkDidClose(self)
    }

    /// What the handshake agreed on; nil where none is complete.
    public final var handshake: Handshake? {
        phase == .open || phase == .preamble ? session?.handshakeFacts : nil
    }

    /// The certificate that this side presented, DER; nil where it presented none.
    public final var localCertificate: [UInt8]? { session?.localCertificate }

    /// TLS-Exporter of this session (RFC 8446 section 7.5); nil without TLS.
    public final func export(label: String, context: [UInt8], count: Int) -> [UInt8]? {
        session?.export(label: label, context: context, count: count) ?? nil
    }
}
