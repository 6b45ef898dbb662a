internal import Bytes
internal import HTTP
internal import Loop

/// Who a conversation answers: a connection of HTTP/1.1, one request after the other, or one stream
/// of HTTP/2. A switch, so that the path of a token makes no dynamic call.
enum CallerSide {
    case connection(Downstream)
    case stream(HTTP2Stream)

    var service: any StreamService {
        switch self {
        case .connection(let link): link.service
        case .stream(let stream): stream.connection.downstream.service
        }
    }

    /// The caller's connection, with other streams on it or not.
    var link: Downstream {
        switch self {
        case .connection(let link): link
        case .stream(let stream): stream.connection.downstream
        }
    }

    /// Whether there is no more than one request, and its head and body go out apart.
    var isStream: Bool { if case .stream = self { true } else { false } }

    @inline(__always) var isWritable: Bool {
        switch self {
        case .connection(let link): link.isWritable
        case .stream(let stream): stream.isWritable
        }
    }

    var isWriting: Bool {
        switch self {
        case .connection(let link): link.isWriting
        case .stream(let stream): !stream.isWritable
        }
    }

    @inline(__always) var now: UInt64 {
        switch self {
        case .connection(let link): link.now
        case .stream(let stream): stream.now
        }
    }
    /// Tells the loop that bytes of the answer moved, where streams share records: others gain
    /// nothing from waiting for each other.
    @inline(__always) func streamMoved(last: UInt64, now: UInt64) {
        if case .stream(let stream) = self { stream.moved(last: last, now: now) }
    }
    var loop: EventLoop { link.loop }
    var remainingLife: UInt64 { link.remainingLife }

    @inline(__always) func lendBuffer() -> Buffer? { link.lendBuffer() }

    @inline(__always) func send(_ buffer: consuming Buffer) -> WriteOutcome {
        switch self {
        case .connection(let link): return link.send(buffer)
        case .stream(let stream): return stream.send(buffer)
        }
    }

    func pause() {
        switch self {
        case .connection(let link): link.pause()
        case .stream(let stream): stream.pause()
        }
    }

    func resume() {
        switch self {
        case .connection(let link): link.resume()
        case .stream(let stream): stream.resume()
        }
    }

    /// Sends a head, or an interim one.
    func sendHead(_ head: ResponseHead, hasBody: Bool) {
        switch self {
        case .connection(let link): link.sendMessage(head.serialise())
        case .stream(let stream): stream.sendHead(head, hasBody: hasBody)
        }
    }

    /// Sends a body of this side's own, whole.
    func sendOwnBody(_ body: [UInt8]) {
        switch self {
        case .connection(let link): link.sendMessage(body)
        case .stream(let stream): stream.sendOwn(body)
        }
    }

    /// Ends this side's direction in order.
    func finish() {
        switch self {
        case .connection(let link): link.finish()
        case .stream(let stream): stream.finish()
        }
    }

    /// Closes, with what went wrong.
    func end(_ error: LinkError?) {
        switch self {
        case .connection(let link): link.end(error)
        case .stream(let stream): stream.end(error)
        }
    }
}
