internal import Bytes
internal import Loop

/// The tokens of one streamed answer that wait for the loop's tick, so that neither their sizes nor
/// their pace show: what came since the last one goes out as one piece.
final class AnswerTick: TickFollower {
    /// The conversation owns this, and outlives it.
    private let conversation: Borrowed<Conversation>
    /// Outlives everything on it.
    private let loop: Borrowed<EventLoop>
    /// One of the loop's 4,096 (`--buffers`), kept from the first token to the tick.
    private var gathered: Buffer?
    /// What is gathered is the last of a whole answer.
    var endsAnswer = false
    /// Why the answer is cut once what was gathered is on its way.
    var failure: Failure?

    init(_ conversation: Conversation) {
        self.conversation = Borrowed(conversation)
        loop = Borrowed(conversation.caller.loop)
        super.init()
    }

    var isEmpty: Bool { gathered == nil }

    /// Keeps a piece; where it does not fit into one record with what is there, answers that, to be
    /// sent before it.
    func gather(_ piece: consuming Buffer) -> Buffer? {
        if piece.isEmpty { return nil }
        guard var kept = gathered.take() else {
            gathered = consume piece
            wait()
            return nil
        }
        guard kept.count + piece.count <= BufferPool.plaintextSize else {
            gathered = consume piece
            wait()
            return kept
        }
        if kept.room < piece.count { kept.compact() }
        _ = kept.append(piece.bytes)
        gathered = consume kept
        return nil
    }

    /// Hands over what was gathered.
    func take() -> Buffer? { gathered.take() }

    /// Has `didTick` called at the next tick.
    func wait() { loop.with { $0.atNextTick(tell: self) } }

    override func didTick() {
        conversation.with { $0.answerDidTick() }
    }

    /// The answer is over.
    func end() {
        loop.with { $0.forgetTick(of: self) }
        gathered = nil
    }
}
