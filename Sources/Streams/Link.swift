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
    public private(set) final var phase = Phase.connecting
    /// Whether the consumer asked for no more plaintext.
    public private(set) final var isPaused = false

    private final var session: TLSSession?
    private final var isSecure = false
    /// A server's session begins with the caller's first byte: who only connects costs no TLS.
    private final var awaitedContext: TLSContext?
    private final var preamble: (any Preamble)?
    /// Ciphertext that waits for the consumer, or for a buffer to decrypt into.
    private final var inbox: Buffer?
    /// Plaintext that waits for a buffer to encrypt into.
    private final var stalled: Buffer?
    /// A record of the consumer's that waits for this side's own messages to be sent.
    private final var queued: Buffer?
    /// What the peer sent behind its last preamble message, not delivered yet.
    private final var leftover: [UInt8] = []
    private final var leftoverUsed = 0
    /// close_notify was read; told once the leftover is delivered.
    private final var hasEndOfInput = false
    /// This side's own messages (preamble frames), sent before anything else.
    private final var outbox: [UInt8] = []
    private final var outboxSent = 0
    private final var isFinishing = false
    private final var hasFinished = false
    private final var didPeerEnd = false
    private final var isPumping = false

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

    // MARK: Beginning

    /// Starts a plaintext link, for loopback and for backends in the same trust domain.
    public final func begin() {
        readSize = BufferPool.plaintextSize
        phase = .open
        didOpen()
        startReading()
    }

    /// Starts TLS on a connection that stands; the preamble decides when it opens.
    public final func begin(
        _ context: TLSContext, serverName: String?, preamble: any Preamble
    ) {
        isSecure = true
        self.preamble = preamble
        phase = .handshaking
        if context.side == .server {
            awaitedContext = context
        } else {
            beginSession(context, serverName)
            if !isClosing { continueHandshake() }
        }
        if !isClosing { startReading() }
    }

    private final func beginSession(_ context: TLSContext, _ serverName: String?) {
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

    private final func openDelivering(_ leftover: [UInt8]) {
        preamble = nil
        phase = .open
        self.leftover = leftover
        leftoverUsed = 0
        didOpen()
        if !isClosing { pump() }
    }

    // MARK: Sending

    /// Whether `send` may be called.
    public final var isWritable: Bool {
        phase == .open && !isWriting && !isClosing && !hasUnsent
    }

    private final var hasUnsent: Bool { stalled != nil || queued != nil || !outbox.isEmpty }

    /// Sends at most one record's worth of application bytes.
    ///
    /// On `.pending`, `didBecomeWritable` follows, and nothing more may be sent before it.
    public final func send(_ plaintext: consuming Buffer) -> WriteOutcome {
        if isWriting || hasUnsent {
            guard queued == nil else { return .failed(.canceled) }
            queued = consume plaintext
            return .pending
        }
        return sendNow(plaintext)
    }

    @inline(__always)
    private final func sendNow(_ plaintext: consuming Buffer) -> WriteOutcome {
        isSecure ? sendRecord(plaintext) : write(plaintext)
    }

    /// Sends this side's own message, of any length, before anything else.
    public final func sendMessage(_ bytes: [UInt8]) {
        outbox.append(contentsOf: bytes)
        flushOutbox()
    }

    /// Ends this side's direction properly once what was sent is on its way; receiving goes on.
    public final func finish() {
        guard !isFinishing, !isClosing else { return }
        isFinishing = true
        if !isWriting && !hasUnsent { finishNow() }
    }

    private final func sendRecord(_ plaintext: consuming Buffer) -> WriteOutcome {
        guard var output = lendBuffer() else {
            stalled = consume plaintext
            awaitBuffers()
            return .pending
        }
        if session?.hasSpill == true { session!.takeSpill(into: &output) }
        if let error = session!.encrypt(&plaintext, into: &output) {
            breakOff(.tls(error))
            return .failed(.canceled)
        }
        return write(output)
    }

    private final func flushOutbox() {
        while !isWriting, !isClosing, stalled == nil, outboxSent < outbox.count {
            guard var piece = lendBuffer() else { return awaitBuffers() }
            let end = min(outboxSent + BufferPool.plaintextSize, outbox.count)
            _ = piece.append(outbox.span.extracting(outboxSent..<end))
            outboxSent = end
            if case .failed(let error) = sendNow(piece) { return breakOff(.socket(error)) }
        }
        if outboxSent == outbox.count, !outbox.isEmpty {
            outbox = []
            outboxSent = 0
        }
    }

    private final func finishNow() {
        guard !hasFinished else { return }
        hasFinished = true
        if isSecure, session != nil, phase != .handshaking, var output = lendBuffer() {
            session!.finish(into: &output)
            _ = write(output)
        }
        finishWriting()
    }

    public final override func didDrain() {
        if hasUnsent {
            resumeSending()
            guard !isWriting, !isClosing, !hasUnsent else { return }
        }
        if isFinishing { return finishNow() }
        if phase == .handshaking { return continueHandshake() }
        if phase == .open { didBecomeWritable() }
    }

    private final func resumeSending() {
        if let waiting = stalled.take() {
            switch sendRecord(waiting) {
            case .failed(let error): return breakOff(.socket(error))
            case .pending: return
            case .sent: break
            }
        }
        flushOutbox()
        guard !isWriting, !isClosing, stalled == nil, outbox.isEmpty, let next = queued.take()
        else { return }
        if case .failed(let error) = sendNow(next) { breakOff(.socket(error)) }
    }

    public final override func didRegainBuffers() {
        super.didRegainBuffers()
        if !isWriting, hasUnsent {
            resumeSending()
            if !isWriting, !isClosing, !hasUnsent {
                if isFinishing { finishNow() } else if phase == .open { didBecomeWritable() }
            }
        }
        if isClosing { return }
        if phase == .handshaking { continueHandshake() } else { pump() }
    }

    // MARK: Receiving

    /// Delivers no plaintext until `resume`; the peer feels it through TCP.
    public final func pause() {
        guard !isPaused else { return }
        isPaused = true
        stopReading()
    }

    /// Delivers plaintext again.
    public final func resume() {
        guard isPaused, !isClosing else { return }
        isPaused = false
        if inbox != nil || !leftover.isEmpty || hasEndOfInput { pump() }
        if !isPaused, !isClosing, !didPeerEnd { startReading() }
    }

    /// Takes what the peer still sends and drops it, so that closing does not reset away what it
    /// was sent last.
    final func discardInput() {
        phase = .finished
        inbox = nil
        startReading()
    }

    public final override func didRead(_ buffer: consuming Buffer) {
        if phase == .finished { return }
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

    /// Rare: bytes are left of an earlier read, and reading was not stopped in time.
    private final func appendToInbox(_ buffer: consuming Buffer) {
        guard var kept = inbox.take() else { return }
        kept.compact()
        let taken = kept.append(buffer.bytes)
        inbox = consume kept
        if taken < buffer.count { didBreak(.refused(.noBuffer)) }
    }

    /// Decrypts and delivers until the ciphertext or the consumer's appetite runs out.
    private final func pump() {
        // A consumer may resume() from inside its delivery: the outer call goes on then.
        guard !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        // What came behind the last preamble message goes first, also when this very loop brought it.
        while deliverLeftover(), !isPaused, !isClosing, phase != .finished,
            var ciphertext = inbox.take()
        {
            guard var plaintext = lendBuffer() else {
                inbox = consume ciphertext
                stopReading()
                return awaitBuffers()
            }
            let progress = session!.decrypt(&ciphertext, into: &plaintext)
            var isExhausted = false
            if case .wantsInput = progress { isExhausted = true }
            if !isExhausted { inbox = consume ciphertext } else { _ = consume ciphertext }
            if session?.hasSpill == true, !isWriting { flushSpill() }
            if !plaintext.isEmpty { deliver(plaintext) } else { _ = consume plaintext }
            if isClosing { return }
            switch progress {
            case .wantsInput, .full: break
            case .ended:
                inbox = nil
                hasEndOfInput = true
                _ = deliverLeftover()
                return
            case .failed(let error):
                inbox = nil
                return breakOff(.tls(error))
            }
        }
        if !isPaused, !isClosing, inbox == nil, leftover.isEmpty, !didPeerEnd { startReading() }
    }

    /// Answers false when the consumer, or a buffer, is not ready for more.
    private final func deliverLeftover() -> Bool {
        while leftoverUsed < leftover.count {
            guard !isPaused, !isClosing else { return false }
            guard var buffer = lendBuffer() else {
                awaitBuffers()
                return false
            }
            let end = min(leftoverUsed + BufferPool.plaintextSize, leftover.count)
            _ = buffer.append(leftover.span.extracting(leftoverUsed..<end))
            leftoverUsed = end
            didReceive(buffer)
        }
        if !leftover.isEmpty {
            leftover = []
            leftoverUsed = 0
        }
        // The end, too, waits for the appetite: the consumer may not have used all before it.
        if hasEndOfInput, !isPaused, !isClosing { peerEnded() }
        return true
    }

    @inline(__always)
    private final func deliver(_ plaintext: consuming Buffer) {
        if phase == .open {
            didReceive(plaintext)
        } else {
            preamble?.receive(Array(copying: plaintext.bytes), on: self)
        }
    }

    private final func flushSpill() {
        guard var output = lendBuffer() else { return }
        session!.takeSpill(into: &output)
        if case .failed(let error) = write(output) { breakOff(.socket(error)) }
    }

    private final func continueHandshake() {
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
                phase = .preamble
                preamble?.begin(self, handshake: handshake)
                if !isClosing { pump() }
                return
            }
        }
    }

    private final func peerEnded() {
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

    private final func breakOff(_ error: LinkError) {
        let waiting = preamble
        preamble = nil
        waiting?.linkDidBreak(self)
        if !isClosing { didBreak(error) }
    }

    open override func didClose() {
        phase = .finished
        inbox = nil
        stalled = nil
        queued = nil
        leftover = []
        // It may hold timers and jobs of its own.
        let waiting = preamble
        preamble = nil
        waiting?.linkDidBreak(self)
    }

    /// TLS-Exporter of this session (RFC 8446 section 7.5); nil without TLS.
    public final func export(label: String, context: [UInt8], count: Int) -> [UInt8]? {
        session?.export(label: label, context: context, count: count) ?? nil
    }
}

extension Array where Element == UInt8 {
    init(copying bytes: Span<UInt8>) {
        self.init()
        reserveCapacity(bytes.count)
        for index in bytes.indices { append(bytes[index]) }
    }
}
