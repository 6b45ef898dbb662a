public import Bytes
public import HTTP

/// Stands on the way of one answer: sees all of it, may change it, and may send its request
/// elsewhere before any of it has gone on. What meters answers and what routes requests are these.
///
/// The conversation owns it. What is called for each token is overridden, not passed in, so that it
/// costs no reference count and no memory.
open class AnswerTap {
    /// What an answer's body is to a tap.
    public enum Manner: Sendable {
        /// It goes on as it is.
        case watch
        /// It goes on as the tap hands it back.
        case rewrite
    }

    /// What becomes of an upstream's answer once its head is known.
    public enum Judgement {
        /// It goes on, with this head.
        case pass(ResponseHead, Manner)
        /// Nothing of it goes on: the request is sent there.
        case elsewhere(Upstreaming)
        /// Nothing of it goes on: the caller hears this.
        case refuse(Failure)
    }

    /// A request on its way to an upstream.
    public struct Upstreaming {
        public var head: RequestHead
        public var pool: UpstreamPool

        public init(_ head: RequestHead, to pool: UpstreamPool) {
            self.head = head
            self.pool = pool
        }
    }

    /// Whether field lines behind the body reach the caller.
    public internal(set) final var carriesTrailers = false

    public init() {}

    /// The head of an upstream's answer came; `isAnnounced` says that the caller has one already.
    open func judge(_ head: ResponseHead, isAnnounced: Bool) -> Judgement { .pass(head, .watch) }

    /// No answer came, for this reason: where the request goes instead, if anywhere.
    open func elsewhere(after failure: Failure) -> Upstreaming? { nil }

    /// The request is on its way to an upstream.
    open func didSendRequest() {}

    /// Content of a body that goes on as it is.
    open func watch(_ content: Span<UInt8>) {}

    /// Content of a body that goes on as it is handed back; what is not handed back now waits for
    /// `fill`.
    open func rewrite(_ content: consuming Buffer) -> Buffer? { content }

    /// What makes the rest of the answer useless; asked after each piece.
    open var trouble: Failure? { nil }

    /// Whether something waits for `fill`.
    open var hasMore: Bool { false }

    /// Appends what waits, at most so many bytes of it.
    open func fill(_ buffer: inout Buffer, atMost limit: Int) {}

    /// The upstream's body is whole, with these field lines behind it; answers what goes out behind
    /// it, and sets the lines that do. What has to be said of a body that is not what it should be
    /// is said here, too.
    open func complete(trailers: inout [UInt8]) -> [UInt8] { [] }

    /// The answer ends for this reason after its head has gone on; answers what tells the caller
    /// so, as the last of a body that then ends in order, or nil where it is cut.
    open func farewell(_ failure: Failure) -> [UInt8]? { nil }

    /// What keeps a silent answer's connection from being cut by others; nil where nothing may be
    /// said now. Sent after `AnswerTap.silence` without a byte.
    open var heartbeat: [UInt8]? { nil }

    /// The request is over; `summary` says how.
    open func finished(_ summary: ExchangeSummary) {}

    /// A head for the caller while no upstream has answered; nil where it has to wait.
    open var announcement: ResponseHead? { nil }

    /// Milliseconds: callers and load balancers cut connections that are silent for 60 s, and a
    /// sixth of that leaves room for five lost ones.
    public static let silence: UInt64 = 10_000
}
