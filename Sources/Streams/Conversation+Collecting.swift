internal import Bytes
internal import HTTP
internal import Loop

/// A request that is answered here from its whole body: nothing of it goes upstream.
extension Conversation {
    func beginCollecting(limit: Int, expectsContinue: Bool) {
        let reply = LocalReply(to: self, limit: limit)
        // What grows by doubling would take twice as much, and its copies as much again.
        if !request.isComplete { reply.content.reserveCapacity(limit) }
        self.reply = reply
        stage = .collecting
        watch()
        if expectsContinue, !request.isComplete {
            caller.sendHead(.interim(100), hasBody: true)
        }
        if let buffer = held.take() { return collectRequest(buffer) }
        if request.isComplete { askForReply() } else { caller.resume() }
    }

    func collectRequest(_ bytes: consuming Buffer) {
        guard let reply else { return }
        var buffer = bytes
        do throws(HTTPRefusal) {
            let end = try collect(buffer.bytes, into: reply)
            if end < buffer.count {
                keepPipelined(buffer.bytes.extracting(end..<buffer.count))
            }
            buffer.clear()
        } catch {
            return failRequest(error)
        }
        _ = consume buffer
        if request.isComplete { askForReply() } else { caller.resume() }
    }

    /// Takes the content out of the body's framing; answers where the body ends.
    private func collect(
        _ bytes: Span<UInt8>, into reply: LocalReply
    ) throws(HTTPRefusal) -> Int {
        var offset = 0
        reading: while true {
            let segment = try request.body.next(bytes, from: offset)
            switch segment.kind {
            case .data:
                guard segment.end - offset <= reply.limit - reply.content.count else {
                    throw .bodyTooLarge(UInt64(reply.limit))
                }
                reply.content.append(copying: bytes.extracting(offset..<segment.end))
            case .framing: break
            case .end, .needMore: break reading
            }
            offset = segment.end
        }
        try noteRequest(bytes: offset)
        return offset
    }

    private func askForReply() {
        guard let reply else { return }
        stage = .answering
        caller.pause()
        watch()
        handler.answer(reply.content, with: reply)
        // Reading goes on so that the caller's close is noticed.
        if stage == .answering, held == nil { caller.resume() }
    }

    /// Whether `reply` is the one that is waited for; nobody waits for it any more.
    func endReply(_ reply: LocalReply) -> Bool {
        guard stage == .answering, self.reply === reply else { return false }
        self.reply = nil
        return true
    }
}
