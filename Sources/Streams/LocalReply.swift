/// The answer that one request waits for, where it is made here and takes its time.
///
/// Whoever makes it may keep this for as long as that takes: a request that ended meanwhile hears
/// nothing any more. For the loop of the connection alone.
public final class LocalReply {
    /// Whether the request still waits, for other threads.
    public let presence = Presence()
    /// Called once, when the request has its answer or ended without one.
    public var didEnd: (() -> Void)?
    /// Bytes of content that the request may have.
    let limit: Int
    /// What was read of it.
    var content: [UInt8] = []
    private weak var conversation: Conversation?

    init(to conversation: Conversation, limit: Int) {
        self.conversation = conversation
        self.limit = limit
    }

    /// Answers with a document, and with these fields beside the usual ones.
    public func send(
        status: Int, contentType: String, body: [UInt8],
        fields: [(name: String, value: String)] = []
    ) {
        guard let conversation, conversation.endReply(self) else { return }
        conversation.respond(
            status: status, contentType: contentType, body: body, fields: fields)
    }

    /// Sends the request on, with `body` in place of its own, and `tap` on the way of its answer.
    public func forward(_ way: AnswerTap.Upstreaming, body: [UInt8], tap: AnswerTap) {
        guard let conversation, conversation.endReply(self) else { return }
        conversation.forward(way, body: body, tap: tap)
    }

    /// Answers that there is none.
    public func refuse(_ failure: Failure) {
        guard let conversation, conversation.endReply(self) else { return }
        conversation.fail(failure)
    }

    func end() {
        presence.end()
        let act = didEnd
        didEnd = nil
        act?()
    }
}
