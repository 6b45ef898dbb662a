internal import Bytes
internal import HTTP
internal import Loop

/// The way of a request from the caller to its upstream.
extension Conversation {
    var awaitsUpstream: Bool { stage == .connecting }

    func upstreamWasChosen(_ side: UpstreamSide) {
        upstream = side
    }

    /// Sends the head, with as much of the body as is here and fits into the same record.
    func upstreamDidOpen(_ link: Upstream) {
        guard stage == .connecting, upstream?.isSame(as: link) == true else {
            return link.discard()
        }
        beginExchange()
        request.dechunks = false
        guard sendRequestHead(to: link) else { return }
        continueRequest()
    }

    /// Begins the stream; the body follows.
    func upstreamDidOpen(_ stream: UpstreamStream) {
        guard stage == .connecting, upstream?.isSame(as: stream) == true,
            let head = request.forwarded
        else { return stream.discard() }
        beginExchange()
        request.dechunks = head.framing == .chunked
        let hasBody = !request.isComplete || !request.inspected.isEmpty
        guard stream.sendHead(head, hasBody: hasBody) else {
            return upstreamDidBreak(.refused(.saturated), wasOpen: false)
        }
        unframeInspected()
        continueRequest()
    }

    private func beginExchange() {
        stage = .exchanging
        watch()
    }

    private func continueRequest() {
        guard relayInspected() else { return }
        if !request.isComplete, held != nil, lent?.isWritable == true { relayHeldRequest() }
        guard stage == .exchanging else { return }
        if request.isComplete { requestDidComplete() }
        if held == nil, lent?.isWritable == true { caller.resume() }
    }

    private func sendRequestHead(to link: Upstream) -> Bool {
        guard var head = request.forwarded?.serialise() else { return false }
        head += request.inspected
        request.inspected = []
        guard head.count <= BufferPool.plaintextSize, var out = caller.lendBuffer() else {
            link.sendMessage(head)
            return true
        }
        _ = out.append(head.span)
        if !request.isComplete, var body = held.take() {
            let room = BufferPool.plaintextSize - out.count
            if body.count <= room {
                do {
                    let skim = try request.body.skim(body.bytes)
                    _ = out.append(body.bytes.extracting(0..<skim.consumed))
                    try noteRequest(bytes: skim.consumed)
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

    /// Passes body bytes on as they came, framing and all, where the upstream reads that.
    func relayRequest(_ bytes: consuming Buffer) {
        var buffer = bytes
        guard request.inspected.isEmpty, let lent, lent.isWritable else {
            held = consume buffer
            return caller.pause()
        }
        do throws(HTTPRefusal) {
            let count =
                request.dechunks
                ? try request.dechunk(&buffer) : try request.body.skim(buffer.bytes).consumed
            if count < buffer.count {
                keepPipelined(buffer.bytes.extracting(count..<buffer.count))
                buffer.truncate(to: count)
                // What comes next belongs behind it, and there is room for one buffer only.
                caller.pause()
            }
            try noteRequest(bytes: count)
        } catch {
            return failRequest(error)
        }
        switch lent.send(buffer) {
        case .sent: break
        case .pending: caller.pause()
        case .failed(let error): return sendingFailed(error)
        }
        if request.isComplete { requestDidComplete() }
    }

    func sendingFailed(_ error: SocketError) {
        guard let link = upstream else { return }
        link.discard()
        upstreamDidBreak(.socket(error), wasOpen: true)
    }

    func noteRequest(bytes: Int) throws(HTTPRefusal) {
        guard request.body.dataCount <= request.maximumBody else {
            throw .bodyTooLarge(request.maximumBody)
        }
        lastProgress = caller.now
        request.bytes &+= UInt64(bytes)
        metrics.requestBytes.add(bytes)
        request.isComplete = request.body.isFinished
    }

    func keepPipelined(_ bytes: Span<UInt8>) {
        // It begins something new: what is under way needs the other half to end.
        guard var rest = caller.loop.buffers.lendForBeginning() else {
            // The next request is lost; the caller is told by the close and sends it again.
            request.wantsClose = true
            return
        }
        _ = rest.append(bytes)
        held = consume rest
    }

    private func requestDidComplete() {
        watch()
        if case .stream(let stream)? = upstream { stream.finish(trailers: request.trailers) }
        if clientEnded { upstream?.finish() }
        if answer.isHeadSent, answer.body.isFinished { return }
        // Reading goes on so that the caller's close is noticed.
        if held == nil, lent?.isWritable == true { caller.resume() }
    }

    func upstreamDidBecomeWritable() {
        lastProgress = caller.now
        if stage == .exchanging, !request.inspected.isEmpty { return continueRequest() }
        if stage == .exchanging, !request.isComplete, held != nil { relayHeldRequest() }
        if stage == .exchanging, held == nil || !request.isComplete, lent?.isWritable == true {
            caller.resume()
        }
    }

    func failRequest(_ refusal: HTTPRefusal) {
        request.wantsClose = true
        fail(Failure(refusal))
    }
}
