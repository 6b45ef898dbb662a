internal import Bytes
internal import HTTP
internal import Loop

/// The way of an answer from the upstream to the caller.
extension Conversation {
    func upstreamDidReceive(_ buffer: consuming Buffer) {
        if answer.isHeadSent, answerHeld == nil {
            relayAnswer(buffer)
            return
        }
        guard stage == .exchanging else { return dropUpstream() }
        guard var kept = answerHeld.take() else {
            answerHeld = consume buffer
            return processAnswer()
        }
        var rest = buffer
        kept.compact()
        rest.consume(kept.append(rest.bytes))
        answerHeld = consume kept
        answer.hasMore = !rest.isEmpty
        processAnswer()
        // Not so for the next answer on this connection: what is left then belongs to nobody.
        if stage == .exchanging, answer.hasMore { takeRest(rest) }
    }

    /// The head is complete and longer than what was kept of it, so the rest of the read fits now.
    private func takeRest(_ rest: consuming Buffer) {
        answer.hasMore = false
        guard var kept = answerHeld.take() else { return upstreamDidReceive(rest) }
        kept.compact()
        let fits = kept.append(rest.bytes) == rest.count
        answerHeld = consume kept
        if !fits { fail(.badAnswer("a head of at most \(limits.maxHeadBytes) bytes", "more")) }
    }

    /// Works off what is held, as far as the caller can take it.
    func processAnswer() {
        while stage == .exchanging, let buffer = answerHeld.take() {
            guard caller.isWritable else {
                answerHeld = consume buffer
                upstream?.pause()
                return
            }
            if answer.isHeadSent {
                relayAnswer(buffer)
            } else if !takeAnswerHead(buffer) {
                break
            }
        }
        if stage == .exchanging, answerHeld == nil, answer.isUpstreamEnded { upstreamDidEnd() }
    }

    /// Answers false when more of the head is needed.
    private func takeAnswerHead(_ bytes: consuming Buffer) -> Bool {
        var buffer = bytes
        do {
            guard
                let parsed = try ResponseHead.parse(
                    buffer.bytes, limits: limits, requestMethod: request.method)
            else {
                answerHeld = consume buffer
                return false
            }
            buffer.consume(parsed.consumed)
            if parsed.head.isInterim {
                passInterim(parsed.head)
                if !buffer.isEmpty { answerHeld = consume buffer }
            } else {
                beginAnswer(parsed.head, with: buffer)
            }
            return true
        } catch {
            failUpstream(.badAnswer(error.expected, error.got, code: error.code))
            return true
        }
    }

    private func passInterim(_ head: ResponseHead) {
        guard head.status != 101 else {
            return fail(.badAnswer("no protocol switch", "101 Switching Protocols"))
        }
        answer.interims += 1
        guard answer.interims <= AnswerProgress.maximumInterims else {
            return fail(
                .badAnswer("at most \(AnswerProgress.maximumInterims) interim answers", "more"))
        }
        // RFC 9110 section 15.2: never to an HTTP/1.0 client. Nor where the caller may have a head
        // already, and another upstream may answer.
        guard request.clientMinorVersion == 1, answerTap == nil else { return }
        caller.sendHead(Forwarding.response(head, Forwarding.ResponseOptions()), hasBody: true)
    }

    private func beginAnswer(_ head: ResponseHead, with rest: consuming Buffer) {
        if answerTap != nil { return beginTapped(head, with: rest) }
        var options = Forwarding.ResponseOptions()
        options.clientMinorVersion = request.clientMinorVersion
        options.stripsRatelFields = lastPool?.target.isRatel != true
        options.dechunk = request.clientMinorVersion == 0 || caller.isStream
        options.closing = request.wantsClose || closesSoon || clientEnded || !request.isComplete
        let forwarded = Forwarding.response(head, options)
        answer.status = head.status
        answer.isHeadSent = true
        answer.body = BodyReader(head.framing)
        answer.dechunks = options.dechunk && head.framing == .chunked
        answer.closes = forwarded.wantsClose
        answer.isUpstreamReusable =
            !head.wantsClose && head.minorVersion == 1 && head.framing != .untilClose
        noteFirstByte()
        beginTicks(head)
        watch()
        if caller.isStream { return sendAnswerHeadAlone(forwarded, with: rest) }
        sendAnswerHead(forwarded, with: rest)
    }

    func noteFirstByte() {
        let waited = caller.now - request.started
        answer.firstByte = waited
        metrics.firstByte.observe(waited)
    }

    private func sendAnswerHeadAlone(_ head: ResponseHead, with rest: consuming Buffer) {
        caller.sendHead(head, hasBody: !answer.body.isFinished)
        if rest.isEmpty, answer.body.isFinished { return completeAnswer() }
        if !rest.isEmpty { answerHeld = consume rest }
    }

    /// Sends the head, with the body bytes that came with it in the same record when they fit.
    private func sendAnswerHead(_ forwarded: ResponseHead, with rest: consuming Buffer) {
        let head = forwarded.serialise()
        guard head.count + rest.count <= BufferPool.plaintextSize, !answer.dechunks,
            var out = caller.lendBuffer()
        else { return sendAnswerHeadAlone(forwarded, with: rest) }
        _ = out.append(head.span)
        do {
            var rest = rest
            let piece = try answer.pass(&rest)
            _ = out.append(rest.bytes)
            sendAnswer(out, piece)
        } catch {
            breakAnswer(error)
        }
    }

    /// Passes body bytes on as they came, framing and all: the path of every token.
    func relayAnswer(_ bytes: consuming Buffer) {
        if answer.isTapped { return relayTapped(bytes) }
        var buffer = bytes
        guard caller.isWritable else {
            answerHeld = consume buffer
            upstream?.pause()
            return
        }
        do throws(HTTPRefusal) {
            let piece = try answer.pass(&buffer)
            sendAnswer(buffer, piece)
        } catch {
            breakAnswer(error)
        }
    }

    @inline(__always)
    func sendAnswer(_ buffer: consuming Buffer, _ piece: AnswerProgress.Piece) {
        let now = caller.now
        caller.streamMoved(last: lastProgress, now: now)
        lastProgress = now
        metrics.responseBytes.add(piece.count)
        metrics.responseReads.add(1)
        if piece.waitsForTick { return gatherAnswer(buffer, piece) }
        switch caller.send(buffer) {
        case .sent: break
        case .pending: if !piece.isLast { upstream?.pause() }
        case .failed(let error): return caller.end(.socket(error))
        }
        if piece.isLast { completeAnswer() }
    }

    /// The upstream's body is malformed; the caller must not take what it has for the whole.
    func breakAnswer(_ refusal: HTTPRefusal) {
        cutAnswer(.badAnswer(refusal.expected, refusal.got, code: refusal.code))
    }

    // MARK: Ends

    func upstreamDidEnd() {
        guard stage == .exchanging else { return dropUpstream() }
        if answerHeld != nil, answer.isHeadSent {
            answer.isUpstreamEnded = true
            return
        }
        answer.isUpstreamReusable = false
        guard answer.isHeadSent else {
            let wasReused = upstream?.isReused ?? false
            if wasReused, answerHeld == nil, request.isRepeatable, let pool = lastPool {
                // The upstream closed while it waited in the pool and the request met the close.
                dropUpstream()
                stage = .connecting
                return pool.acquire(for: self)
            }
            return failUpstream(.noAnswer)
        }
        if answer.isTapped, answer.body.finishedByClose() { return beginEnding() }
        if answer.body.finishedByClose() { completeAnswer() } else { cutAnswer(.cutAnswer) }
    }

    func upstreamDidBreak(_ error: LinkError, wasOpen: Bool) {
        let isLost = upstream?.isLost(by: error) ?? false
        let isStream = upstream?.isStream ?? false
        upstream = nil
        guard stage == .connecting || stage == .exchanging else { return }
        // All of it came, and the caller is still taking it.
        if let ending = answer.ending, ending.failure == nil { return }
        metrics.upstreamFailures.add(1)
        guard !answer.isHeadSent else { return cutAnswer(.cutAnswer) }
        if isLost, wasOpen, request.isRepeatable, let pool = lastPool {
            // One connection may carry it again and again, where idle ones of HTTP/1.1 run out.
            request.isRepeated = isStream
            stage = .connecting
            return pool.acquire(for: self)
        }
        if !wasOpen, let pool = lastPool,
            let other = handler.alternative(to: pool, after: error)
        {
            stage = .connecting
            lastPool = other
            return other.acquire(for: self)
        }
        failUpstream(Failure(upstream: error, wasOpen: wasOpen))
    }

    func dropUpstream() {
        let link = upstream
        upstream = nil
        link?.discard()
    }

    func completeAnswer(_ failure: Failure? = nil) {
        let closes = answer.closes || !request.isComplete || closesSoon || request.wantsClose
        if let link = upstream {
            upstream = nil
            if answer.isUpstreamReusable, !answer.hasMore, request.isComplete, !clientEnded {
                link.giveBack()
            } else {
                link.discard()
            }
        }
        guard sendGathered() else { return }
        finishSummary(failure)
        if closes || clientEnded || caller.isStream { return closeGently() }
        nextRequest()
    }

    private func nextRequest() {
        stage = .head
        answerHeld = nil
        watch()
        advance()
    }

    /// Lets the caller read what it was sent: closing at once could reset it away.
    func closeGently() {
        guard stage != .closed else { return }
        stage = .closing
        held = nil
        answerHeld = nil
        dropUpstream()
        watch()
        caller.finish(trailers: answer.trailers)
        caller.resume()
    }

    /// Ends everything without a terminator, so that nobody takes a part for the whole.
    func abort(_ failure: Failure) {
        guard endTicks() else { return }
        finishSummary(failure)
        stage = .closing
        dropUpstream()
        caller.end(.refused(failure))
    }

    // MARK: Answers of this side

    /// Tells the caller why there is no answer, or cuts it when one has begun.
    func fail(_ failure: Failure) {
        guard !answer.isHeadSent else { return abort(failure) }
        if answer.isAnnounced { return cutAnswer(failure) }
        reply = nil
        dropUpstream()
        answer.status = failure.status
        respond(
            status: failure.status, contentType: "application/json",
            body: Array(failure.json.utf8), failure: failure)
    }

    func respond(
        status: Int, contentType: String, body: [UInt8],
        fields: [(name: String, value: String)] = [], failure: Failure? = nil
    ) {
        let closes = request.wantsClose || !request.isComplete || closesSoon || clientEnded
        answer.status = status
        answer.isHeadSent = true
        answer.firstByte = caller.now - request.started
        let hasBody = request.method != "HEAD" && !body.isEmpty
        var head = ResponseHead.own(
            status: status, contentType: contentType, length: body.count, closes: closes)
        for (name, value) in fields { head.fields.append(name, value) }
        if let wait = failure?.retryAfter { head.fields.append("Retry-After", String(wait)) }
        if let methods = failure?.allowed { head.fields.append("Allow", methods) }
        caller.sendHead(head, hasBody: hasBody)
        if hasBody { caller.sendOwnBody(body) }
        finishSummary(failure)
        guard stage != .closed else { return }
        if closes || caller.isStream { closeGently() } else { nextRequest() }
    }

    func finishSummary(_ failure: Failure?) {
        guard request.isCounted else { return }
        request.isCounted = false
        metrics.openStreams.add(-1)
        var summary = ExchangeSummary()
        summary.method = request.method
        summary.path = request.path
        summary.status = answer.status
        summary.requestBytes = request.bytes
        summary.responseBytes = answer.bytes
        summary.firstByte = answer.firstByte
        summary.duration = caller.now - request.started
        summary.failure = failure
        handler.finished(summary)
        answerTap?.finished(summary)
    }
}
