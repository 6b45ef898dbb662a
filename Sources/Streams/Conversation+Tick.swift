internal import Bytes
internal import HTTP
internal import Loop

/// Answers whose tokens are sent at the loop's ticks.
extension Conversation {
    /// From now on the pieces of this answer wait for ticks, where that hides something: tokens,
    /// under TLS.
    func beginTicks(_ head: ResponseHead) {
        guard handler.sendsAtTicks, head.isEventStream, caller.link.isSecure else { return }
        tick = AnswerTick(self)
        answer.waitsForTicks = true
    }

    func gatherAnswer(_ buffer: consuming Buffer, _ piece: AnswerProgress.Piece) {
        var full: Buffer?
        lentTick?.with(buffer) { full = $0.gather($1) }
        if let full = full.take() {
            guard passOn(full) else { return }
        }
        if piece.isLast { completeAnswer() }
    }

    func answerDidTick() {
        guard stage == .exchanging, let lentTick else { return }
        // A caller that is slow gets it at a later tick.
        guard caller.isWritable else { return lentTick.with { $0.wait() } }
        if lentTick.with({ $0.endsAnswer }) { return completeAnswer(answer.ending?.failure) }
        var gathered: Buffer?
        lentTick.with { gathered = $0.take() }
        if let buffer = gathered.take() {
            guard passOn(buffer) else { return }
            if isCut { lentTick.with { $0.wait() } }
        } else if let failure = tick?.failure {
            abort(failure)
        }
    }

    /// Sends the last of a whole answer; false when the caller is gone, or is slow and the answer
    /// ends at a later tick.
    func sendGathered() -> Bool {
        guard let tick else { return true }
        guard tick.isEmpty || caller.isWritable else {
            tick.endsAnswer = true
            tick.wait()
            return false
        }
        return endTicks()
    }

    /// Sends what waits for a tick that will not come, if it can be; false when the caller is gone.
    func endTicks() -> Bool {
        guard let tick else { return true }
        let rest = caller.isWritable ? tick.take() : nil
        tick.end()
        self.tick = nil
        guard let rest else { return true }
        return passOn(rest)
    }

    /// Ends an answer that is not whole, behind what came of it: at the tick that follows the one
    /// that sends it, since a stream that is reset loses what is not on its way.
    func cutAnswer(_ failure: Failure) {
        if sayFarewell(failure) { return }
        guard let tick, !tick.isEmpty else { return abort(failure) }
        guard tick.failure == nil else { return }
        tick.failure = failure
        dropUpstream()
    }

    private var isCut: Bool { lentTick?.with { $0.failure != nil } ?? false }

    private func passOn(_ buffer: consuming Buffer) -> Bool {
        switch caller.send(buffer) {
        case .sent: break
        case .pending: upstream?.pause()
        case .failed(let error):
            caller.end(.socket(error))
            return false
        }
        return true
    }
}
