internal import Bytes
internal import HTTP
internal import Loop

/// What a conversation has lent from a pool: a connection of HTTP/1.1, or one stream of HTTP/2.
///
/// A switch, so that the path of a token makes no dynamic call.
enum UpstreamSide {
    case connection(Upstream)
    case stream(UpstreamStream)

    /// Whether it is HTTP/2's: heads and trailers go apart from bodies, which have no framing.
    var isStream: Bool { if case .stream = self { true } else { false } }

    /// Whether it served a request before, and its end may have met this one.
    var isReused: Bool {
        switch self {
        case .connection(let link): link.isReused
        case .stream(let stream): stream.isReused
        }
    }

    /// Whether `error` may have met a request that nobody read: a connection that stood ended, or
    /// the peer says so itself. What was refused for what it is would only be refused again.
    func isLost(by error: LinkError) -> Bool {
        guard case .refused = error else { return isReused }
        if case .stream(let stream) = self { return isReused && stream.isUnread }
        return false
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

    /// Passes on that the caller ends its side.
    func finish() {
        // Over HTTP/2 the end of the request says so, and no more can be said.
        if case .connection(let link) = self { link.finish() }
    }

    /// Detaches and ends what is not over.
    func discard() {
        switch self {
        case .connection(let link): link.discard()
        case .stream(let stream): stream.discard()
        }
    }

    /// When answers under way are cut; nil where they are not.
    var cutsAt: UInt64? {
        switch self {
        case .connection(let link): link.cutsAt
        case .stream(let stream): stream.cutsAt
        }
    }

    /// Detaches after an exchange that ended cleanly.
    func giveBack() {
        switch self {
        case .connection(let link): link.pool.with { $0.giveBack(link) }
        case .stream(let stream): stream.release()
        }
    }

    func isSame(as link: Upstream) -> Bool {
        if case .connection(let own) = self { own === link } else { false }
    }

    func isSame(as stream: UpstreamStream) -> Bool {
        if case .stream(let own) = self { own === stream } else { false }
    }
}

/// The same, uncounted: the conversation keeps it alive.
enum LentUpstream {
    case connection(Borrowed<Upstream>)
    case stream(Borrowed<UpstreamStream>)

    init(_ side: UpstreamSide) {
        switch side {
        case .connection(let link): self = .connection(Borrowed(link))
        case .stream(let stream): self = .stream(Borrowed(stream))
        }
    }

    @inline(__always) var isWritable: Bool {
        switch self {
        case .connection(let link): link.with { $0.isWritable }
        case .stream(let stream): stream.with { $0.isWritable }
        }
    }

    @inline(__always) func send(_ buffer: consuming Buffer) -> WriteOutcome {
        var outcome = WriteOutcome.sent
        switch self {
        case .connection(let link): link.with(buffer) { outcome = $0.send($1) }
        case .stream(let stream): stream.with(buffer) { outcome = $0.send($1) }
        }
        return outcome
    }
}
