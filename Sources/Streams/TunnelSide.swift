internal import Bytes
internal import Loop

/// One of the two connections of a tunnel.
final class TunnelSide: Socket {
    /// The tunnel closes its sides before it goes; nil once it has.
    var tunnel: Borrowed<Tunnel>?
    /// The tunnel once it is over: it may be in the middle of a call of this side's.
    var last: Tunnel?
    private let isCaller: Bool

    init(on loop: EventLoop, kind: Address, isCaller: Bool) {
        self.isCaller = isCaller
        super.init(on: loop, kind: kind)
        readsIn = isCaller ? .last : readsIn
    }

    override func didConnect(_ failure: SocketError?) {
        tunnel?.with { $0.backendDidConnect(failure) }
    }

    override func didRead(_ buffer: consuming Buffer) {
        guard let tunnel else { return }
        if isCaller {
            tunnel.with(buffer) { $0.callerDidRead($1) }
        } else {
            tunnel.with(buffer) { $0.backendDidRead($1) }
        }
    }

    override func didEnd() {
        tunnel?.with { isCaller ? $0.callerDidEnd() : $0.backendDidEnd() }
    }

    override func didDrain() {
        tunnel?.with { isCaller ? $0.callerDidDrain() : $0.backendDidDrain() }
    }

    override func didFinishWriting() {
        tunnel?.with { $0.sideDidFinish() }
    }

    override func didClose() { last = nil }

    override func didFail(_ error: SocketError) {
        tunnel?.with { $0.end(.tunnelBroken(isCaller ? "caller" : "backend", error)) }
    }
}
