internal import Bytes
internal import HTTP
internal import Loop

/// A request whose body was read whole and goes on changed, and whose answer a tap sees.
extension Conversation {
    // MARK: The request

    func forward(_ way: AnswerTap.Upstreaming, body: [UInt8], tap: AnswerTap) {
        tap.carriesTrailers = caller.isStream
        answerTap = tap
        request.carried = body
        if let own = handler.ownBudgets { budgets = own }
        send(way)
    }

    private func send(_ way: AnswerTap.Upstreaming) {
        var head = way.head
        let count = request.carried.count
        head.fields.removeAll(named: "transfer-encoding")
        head.fields.removeAll(named: "expect")
        head.fields.set("Content-Length", String(count))
        head.framing = .length(UInt64(count))
        request.forwarded = head
        request.inspected = request.carried
        request.inspectedSent = 0
        stage = .connecting
        caller.pause()
        watch()
        lastPool = way.pool
        answerTap?.didSendRequest()
        way.pool.acquire(for: self)
    }

    /// There is no answer: the request goes elsewhere, or the caller is told.
    func failUpstream(_ failure: Failure) {
        if !answer.isHeadSent, let way = answerTap?.elsewhere(after: failure) { return retry(way) }
        fail(failure)
    }

    private func retry(_ way: AnswerTap.Upstreaming) {
        dropUpstream()
        answerHeld = nil
        let wasAnnounced = answer.isAnnounced
        answer = AnswerProgress()
        answer.isAnnounced = wasAnnounced
        answer.rechunks = wasAnnounced && !caller.isStream
        send(way)
    }

    // MARK: The answer

    func beginTapped(_ head: ResponseHead, with rest: consuming Buffer) {
        guard let tap = answerTap else { return }
        switch tap.judge(head, isAnnounced: answer.isAnnounced) {
        case .elsewhere(let way): retry(way)
        case .refuse(let failure):
            fail(failure)
        case .pass(let changed, let manner):
            pass(head, as: changed, manner)
            if !rest.isEmpty {
                answerHeld = consume rest
            } else if answer.body.isFinished {
                beginEnding()
            }
        }
    }

    private func pass(
        _ head: ResponseHead, as changed: ResponseHead, _ manner: AnswerTap.Manner
    ) {
        var changed = changed
        if manner == .rewrite, case .length = head.framing {
            changed.fields.removeAll(named: "content-length")
            changed.fields.append("Transfer-Encoding", "chunked")
            changed.framing = .chunked
        }
        var options = Forwarding.ResponseOptions()
        options.clientMinorVersion = request.clientMinorVersion
        options.dechunk = request.clientMinorVersion == 0 || caller.isStream
        options.closing = request.wantsClose || closesSoon || clientEnded
        options.stripsRatelFields = false
        let forwarded = Forwarding.response(changed, options)
        let isAnnounced = answer.isAnnounced
        answer.status = changed.status
        answer.isHeadSent = true
        answer.isTapped = true
        // It goes nowhere else any more.
        request.carried = []
        answer.isRewritten = manner == .rewrite
        answer.body = BodyReader(head.framing)
        answer.rechunks =
            !caller.isStream && request.clientMinorVersion == 1
            && (isAnnounced || changed.framing == .chunked)
        answer.closes = forwarded.wantsClose
        answer.isUpstreamReusable =
            !head.wantsClose && head.minorVersion == 1 && head.framing != .untilClose
        noteFirstByte()
        beginTicks(changed)
        watch()
        let hasBody = request.method != "HEAD" && changed.status != 204 && changed.status != 304
        if !isAnnounced { caller.sendHead(forwarded, hasBody: hasBody) }
    }

    /// Passes content on as the tap has it: the path of every token that is counted.
    func relayTapped(_ bytes: consuming Buffer) {
        var buffer = bytes
        guard caller.isWritable, pushMore(), let lentTap else {
            answerHeld = consume buffer
            upstream?.pause()
            return
        }
        do throws(HTTPRefusal) {
            let piece = try answer.unframe(&buffer)
            if answer.isRewritten {
                var changed: Buffer?
                lentTap.with(buffer) { changed = $0.rewrite($1) }
                if let changed = changed.take(), !changed.isEmpty { sendContent(changed, piece) }
                guard stage == .exchanging else { return }
                if let trouble = lentTap.with({ $0.trouble }) { return cutAnswer(trouble) }
                _ = pushMore()
            } else {
                lentTap.with { $0.watch(buffer.bytes) }
                sendContent(buffer, piece)
            }
            guard stage == .exchanging else { return }
            if piece.isLast { beginEnding() }
        } catch {
            breakAnswer(error)
        }
    }

    /// Sends content, in a chunk of its own where the caller reads chunks.
    @inline(__always)
    private func sendContent(_ buffer: consuming Buffer, _ piece: AnswerProgress.Piece) {
        var piece = piece
        piece.isLast = false
        guard answer.rechunks else { return sendAnswer(buffer, piece) }
        sendChunks(buffer, piece)
    }

    private func sendChunks(_ buffer: consuming Buffer, _ piece: AnswerProgress.Piece) {
        var start = 0
        // Of a read that had no framing of its own, a second piece is what does not fit beside it.
        while start < buffer.count {
            let end = min(buffer.count, start + Conversation.chunk)
            guard var out = caller.lendBuffer() else { return abort(.noBuffer) }
            out.appendChunkHead(end - start)
            _ = out.append(buffer.bytes.extracting(start..<end))
            out.appendLineEnd()
            var part = piece
            part.count = start == 0 ? piece.count : 0
            sendAnswer(out, part)
            guard stage == .exchanging else { return }
            start = end
        }
    }

    /// The largest content of a chunk that fits one record: 6 digits and two line ends beside it.
    private static let chunk = BufferPool.plaintextSize - 16

    /// Sends what the tap could not hand back in place; false while some of it waits.
    private func pushMore() -> Bool {
        guard let lentTap else { return true }
        while lentTap.with({ $0.hasMore }) {
            guard stage == .exchanging, caller.isWritable else { return false }
            guard var out = caller.lendBuffer() else {
                abort(.noBuffer)
                return false
            }
            lentTap.with { $0.fill(&out, atMost: Conversation.chunk) }
            sendContent(
                out,
                AnswerProgress.Piece(
                    count: 0, isLast: false, waitsForTick: answer.waitsForTicks))
        }
        return stage == .exchanging && caller.isWritable
    }

    // MARK: The end

    /// The caller takes more: what waits goes on; false where nothing else may follow.
    func continueTapped() -> Bool {
        guard stage == .exchanging, answer.isTapped || answer.ending != nil else { return true }
        guard answer.ending == nil else {
            endTapped()
            return false
        }
        return pushMore()
    }

    /// The upstream's body is whole.
    func beginEnding() {
        guard answer.ending == nil, let tap = answerTap else { return }
        let words = tap.complete(trailers: &answer.trailers)
        if let trouble = tap.trouble { return cutAnswer(trouble) }
        answer.ending = AnswerEnding(lastWords: words)
        endTapped()
    }

    /// Has the tap tell the caller why its answer ends; false where it has nothing to say.
    func sayFarewell(_ failure: Failure) -> Bool {
        guard answer.ending == nil, let tap = answerTap, answer.isTapped || answer.isAnnounced,
            let words = tap.farewell(failure)
        else { return answer.ending?.failure != nil }
        dropUpstream()
        answerHeld = nil
        answer.trailers = []
        answer.isUpstreamEnded = false
        stage = .exchanging
        answer.ending = AnswerEnding(lastWords: words, failure: failure)
        watch()
        endTapped()
        return true
    }

    private func endTapped() {
        guard pushMore(), var ending = answer.ending else { return }
        while ending.sent < ending.lastWords.count {
            guard stage == .exchanging, caller.isWritable else { return }
            guard var out = caller.lendBuffer() else { return abort(.noBuffer) }
            let end = min(ending.lastWords.count, ending.sent + Conversation.chunk)
            _ = out.append(ending.lastWords.span.extracting(ending.sent..<end))
            ending.sent = end
            answer.ending = ending
            sendContent(
                out,
                AnswerProgress.Piece(
                    count: end, isLast: false, waitsForTick: answer.waitsForTicks))
        }
        guard stage == .exchanging else { return }
        if answer.rechunks {
            guard caller.isWritable else { return }
            answer.rechunks = false
            guard var out = caller.lendBuffer() else { return abort(.noBuffer) }
            _ = out.append(Conversation.lastChunk.span)
            sendAnswer(
                out,
                AnswerProgress.Piece(
                    count: 0, isLast: false, waitsForTick: answer.waitsForTicks))
            guard stage == .exchanging else { return }
        }
        completeAnswer(ending.failure)
    }

    private static let lastChunk = Array("0\r\n\r\n".utf8)

    // MARK: Silence

    /// Milliseconds until a silent answer is given a sign of life.
    var untilBeat: UInt64 {
        answerTap != nil && stage == .exchanging ? AnswerTap.silence : .max
    }

    /// Says that the answer is still awaited, which is no progress of it.
    func beatIfSilent() {
        guard stage == .exchanging, request.isComplete, let tap = answerTap,
            answer.ending == nil, caller.isWritable,
            caller.now - max(lastProgress, lastBeat) >= AnswerTap.silence
        else { return }
        if !answer.isHeadSent, !answer.isAnnounced {
            guard let head = tap.announcement, request.clientMinorVersion == 1 else { return }
            var options = Forwarding.ResponseOptions()
            options.dechunk = caller.isStream
            options.stripsRatelFields = false
            answer.isAnnounced = true
            answer.status = head.status
            answer.rechunks = !caller.isStream
            caller.sendHead(Forwarding.response(head, options), hasBody: true)
        }
        guard let beat = tap.heartbeat, var out = caller.lendBuffer() else { return }
        lastBeat = caller.now
        _ = out.append(beat.span)
        let progress = lastProgress
        sendContent(
            out, AnswerProgress.Piece(count: 0, isLast: false, waitsForTick: answer.waitsForTicks))
        lastProgress = progress
    }
}
