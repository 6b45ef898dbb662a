public import Bytes
public import Loop
internal import TLS

/// What goes out: records of the consumer, and this side's own messages before them.
extension Link {
    /// Whether `send` may be called.
    public var isWritable: Bool {
        phase == .open && !isWriting && !isClosing && !hasUnsent
    }

    var hasUnsent: Bool { stalled != nil || queued != nil || !outbox.isEmpty }

    /// Sends at most one record's worth of application bytes.
    ///
    /// On `.pending`, `didBecomeWritable` follows, and nothing more may be sent before it.
    public func send(_ plaintext: consuming Buffer) -> WriteOutcome {
        if isWriting || hasUnsent {
            guard queued == nil else { return .failed(.canceled) }
            queued = consume plaintext
            return .pending
        }
        return sendNow(plaintext)
    }

    @inline(__always)
    func sendNow(_ plaintext: consuming Buffer) -> WriteOutcome {
        isSecure ? sendRecord(plaintext) : write(plaintext)
    }

    /// Sends this side's own message, of any length, before anything else.
    public func sendMessage(_ bytes: [UInt8]) {
        outbox.append(contentsOf: bytes)
        flushOutbox()
    }

    /// Ends this side's direction properly once what was sent is on its way; receiving goes on.
    public func finish() {
        guard !isFinishing, !isClosing else { return }
        isFinishing = true
        if !isWriting && !hasUnsent { finishNow() }
    }

    func sendRecord(_ plaintext: consuming Buffer) -> WriteOutcome {
        guard var output = lendBuffer() else {
            stalled = consume plaintext
            awaitBuffers()
            return .pending
        }
        if session?.hasSpill == true { session!.takeSpill(into: &output) }
        countRecord(plaintext.count)
        if let error = session!.encrypt(&plaintext, into: &output) {
            breakOff(.tls(error))
            return .failed(.canceled)
        }
        return write(output)
    }

    func flushOutbox() {
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

    func finishNow() {
        guard !hasFinished else { return }
        hasFinished = true
        if isSecure, session != nil, phase != .handshaking, var output = lendBuffer() {
            session!.finish(into: &output)
            _ = write(output)
        }
        finishWriting()
    }

    func resumeSending() {
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
}
