internal import Bytes
internal import HTTP
internal import Loop

/// The way of a request from the caller to its upstream.
extension Conversation {
    var awaitsUpstream: Bool { stage == .connecting }

    func upstreamWasChosen(_ link: Upstream) {
        upstream = link
    }

    /// Sends the head, with as much of the body as is here and fits into the same record.
    func upstreamDidOpen(_ link: Upstream) {
        guard stage == .connecting, upstream === link else { return link.discard() }
        stage = .exchanging
        watch()
        guard sendRequestHead(to: link) else { return }
        if !request.isComplete, held != nil, link.isWritable { relayHeldRequest() }
        guard stage == .exchanging else { return }
        if request.isComplete { requestDidComplete() }
        if held == nil, link.isWritable { caller.resume() }
    }

    private func sendRequestHead(to link: Upstream) -> Bool {
        guard request.forwarded.count <= BufferPool.plaintextSize,
            var out = caller.lendBuffer()
        else {
            link.sendMessage(request.forwarded)
            return true
        }
        _ = out.append(request.forwarded.span)
        if !request.isComplete, var body = held.take() {
            let room = BufferPool.plaintextSize - out.count
            if body.count <= room {
                do {
                    let skim = try request.body.skim(body.bytes)
                    _ = out.append(body.bytes.extracting(0..<skim.consumed))
                    try noteRequest(bytes: skim.consumed, finished: skim.finished)
                    body.consume(skim.consumed)
                } catch {
                    failRequest(error)
                    return false
                }
            }
            if !body.isEmpty { held = consume body }
        }
        if case .failed(let error) = link.send(out) {
            sendingFailed(error)
            return false
        }
        return true
    }

    func relayHeldRequest() {
        if let buffer = held.take() { relayRequest(buffer) }
    }

    /// Passes body bytes on as they came, framing and all.
    func relayRequest(_ bytes: consuming Buffer) {
        var buffer = bytes
        guard let lent, lent.with({ $0.isWritable }) else {
            held = consume buffer
            return caller.pause()
        }
        do throws(HTTPRefusal) {
            let skim = try request.body.skim(buffer.bytes)
            if skim.consumed < buffer.count {
                keepPipelined(buffer.bytes.extracting(skim.consumed..<buffer.count))
                buffer.truncate(to: skim.consumed)
                // What comes next belongs behind it, and there is room for one buffer only.
                caller.pause()
            }
            try noteRequest(bytes: skim.consumed, finished: skim.finished)
        } catch {
            return failRequest(error)
        }
        var outcome = WriteOutcome.sent
        lent.with(buffer) { outcome = $0.send($1) }
        switch outcome {
        case .sent: break
        case .pending: caller.pause()
        case .failed(let error): return sendingFailed(error)
        }
        if request.isComplete { requestDidComplete() }
    }

    private func sendingFailed(_ error: SocketError) {
        guard let link = upstream else { return }
        link.discard()
        upstreamDidBreak(.socket(error), wasOpen: true)
    }

    func noteRequest(bytes: Int, finished: Bool) throws(HTTPRefusal) {
        guard request.body.dataCount <= request.maximumBody else {
            throw .bodyTooLarge(request.maximumBody)
        }
        lastProgress = caller.now
        request.bytes &+= UInt64(bytes)
        metrics.requestBytes.add(bytes)
        request.isComplete = finished
    }

    func keepPipelined(_ bytes: Span<UInt8>) {
        guard var rest = caller.lendBuffer() else {
            // The next request is lost; the caller is told by the close and sends it again.
            request.wantsClose = true
            return
        }
        _ = rest.append(bytes)
        held = consume rest
    }

    private func requestDidComplete() {
        watch()
        if clientEnded { upstream?.finish() }
        if answer.isHeadSent, answer.body.isFinished { return }
        // Reading goes on so that the caller's close is noticed.
        if held == nil, upstream?.isWritable == true { caller.resume() }
    }

    func upstreamDidBecomeWritable() {
        lastProgress = caller.now
        if stage == .exchanging, !request.isComplete, held != nil { relayHeldRequest() }
        if stage == .exchanging, held == nil || !request.isComplete, upstream?.isWritable == true {
            caller.resume()
        }
    }

    func failRequest(_ refusal: HTTPRefusal) {
        request.wantsClose = true
        fail(Failure(refusal))
    }
}
