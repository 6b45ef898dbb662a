internal import Bytes
internal import HTTP
internal import Loop

/// Who a conversation answers: a connection of HTTP/1.1, one request after the other, or one stream
/// of HTTP/2. A switch, so that the path of a token makes no dynamic call; both own the
/// conversation and so outlive it.
enum CallerSide {
    case connection(Borrowed<Downstream>)
    case stream(Borrowed<HTTP2Stream>)

    var service: any StreamService { link.service }

    /// The caller's connection, with other streams on it or not; counted.
    var link: Downstream {
        switch self {
        case .connection(let link): link.object
        case .stream(let stream): stream.with { $0.connection.downstream }
        }
    }

    /// Whether there is no more than one request, and its head and body go out apart.
    var isStream: Bool { if case .stream = self { true } else { false } }

    @inline(__always) var isWritable: Bool {
        switch self {
        case .connection(let link): link.with { $0.isWritable }
        case .stream(let stream): stream.with { $0.isWritable }
        }
    }

    var isWriting: Bool {
        switch self {
        case .connection(let link): link.with { $0.isWriting }
        case .stream(let stream): stream.with { $0.hasUnsent }
        }
    }

    @inline(__always) var now: UInt64 {
        switch self {
        case .connection(let link): link.with { $0.now }
        case .stream(let stream): stream.with { $0.now }
        }
    }

    /// Tells the loop that bytes of the answer moved, where streams share records: others gain
    /// nothing from waiting for each other.
    @inline(__always) func streamMoved(last: UInt64, now: UInt64) {
        if case .stream(let stream) = self { stream.with { $0.moved(last: last, now: now) } }
    }

    var loop: EventLoop { link.loop }
    var remainingLife: UInt64 { link.remainingLife }
    /// When answers under way are cut; nil where they are not.
    var cutsAt: UInt64? { link.cutsAt }

    /// For each read of an answer in chunks of this side's own: counts nothing.
    @inline(__always) func lendBuffer() -> Buffer? {
        var buffer: Buffer?
        switch self {
        case .connection(let link): link.with { buffer = $0.lendBuffer() }
        case .stream(let stream): stream.with { buffer = $0.connection.downstream.lendBuffer() }
        }
        return buffer
    }

    @inline(__always) func send(_ buffer: consuming Buffer) -> WriteOutcome {
        var outcome = WriteOutcome.sent
        switch self {
        case .connection(let link): link.with(buffer) { outcome = $0.send($1) }
        case .stream(let stream): stream.with(buffer) { outcome = $0.send($1) }
        }
        return outcome
    }

    func pause() {
        switch self {
        case .connection(let link): link.with { $0.pause() }
        case .stream(let stream): stream.with { $0.pause() }
        }
    }

    func resume() {
        switch self {
        case .connection(let link): link.with { $0.resume() }
        case .stream(let stream): stream.with { $0.resume() }
        }
    }

    /// Sends a head, or an interim one.
    func sendHead(_ head: ResponseHead, hasBody: Bool) {
        switch self {
        case .connection(let link): link.with { $0.sendMessage(head.serialise()) }
        case .stream(let stream): stream.with { $0.sendHead(head, hasBody: hasBody) }
        }
    }

    /// Sends a body of this side's own, whole.
    func sendOwnBody(_ body: [UInt8]) {
        switch self {
        case .connection(let link): link.with { $0.sendMessage(body) }
        case .stream(let stream): stream.with { $0.sendOwn(body) }
        }
    }

    /// Ends this side's direction in order; field lines behind the body go out where it was not
    /// framed with them.
    func finish(trailers: [UInt8]) {
        switch self {
        case .connection(let link): link.with { $0.finish() }
        case .stream(let stream): stream.with { $0.finish(trailers: trailers) }
        }
    }

    /// Closes, with what went wrong.
    func end(_ error: LinkError?) {
        switch self {
        case .connection(let link): link.with { $0.end(error) }
        case .stream(let stream): stream.with { $0.end(error) }
        }
    }
}
