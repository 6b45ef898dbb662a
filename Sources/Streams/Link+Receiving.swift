internal import Bytes
internal import Loop
internal import TLS

/// What comes in: ciphertext is decrypted and delivered as far as the consumer can take it.
extension Link {
    /// Whether bytes of the peer wait here.
    var hasUnread: Bool { inbox != nil || leftoverUsed < leftover.count }

    /// Rare: bytes are left of an earlier read, and reading was not stopped in time.
    func appendToInbox(_ buffer: consuming Buffer) {
        guard var kept = inbox.take() else { return }
        kept.compact()
        let taken = kept.append(buffer.bytes)
        inbox = consume kept
        if taken < buffer.count { didBreak(.refused(.noBuffer)) }
    }

    /// Decrypts and delivers until the ciphertext or the consumer's appetite runs out.
    func pump() {
        // A consumer may resume() from inside its delivery: the outer call goes on then.
        guard !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        // What came behind the last preamble message goes first, also when this loop brought it.
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
    func deliverLeftover() -> Bool {
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
    func deliver(_ plaintext: consuming Buffer) {
        if phase == .open {
            didReceive(plaintext)
        } else {
            preamble?.receive(Array(copying: plaintext.bytes), on: self)
        }
    }

    func flushSpill() {
        guard var output = lendBuffer() else { return }
        session!.takeSpill(into: &output)
        if case .failed(let error) = write(output) { breakOff(.socket(error)) }
    }
}
