public import Loop

/// Where the bytes of one connection may go.
public struct TunnelTarget {
    /// A host name with a port, or a Unix socket.
    public var address: Address
    /// Milliseconds to connect.
    public var connect: UInt64
    /// Whether the connection there begins with the PROXY protocol's header.
    public var announcesCaller: Bool

    /// Names a target.
    public init(address: Address, connect: UInt64, announcesCaller: Bool) {
        self.address = address
        self.connect = connect
        self.announcesCaller = announcesCaller
    }
}

/// Where one connection's bytes go; made for each connection.
public protocol TunnelRoute: AnyObject {
    /// Where to connect next; nil where nothing is left to try.
    func next() -> TunnelTarget?
    /// The target that `next` gave last could not be connected to; nothing was sent there.
    func failed(_ error: SocketError)
    /// It is over; nil when both sides ended in order.
    func ended(_ summary: TunnelSummary)
}

/// What one tunnel was, for logs.
public struct TunnelSummary: Sendable {
    /// The caller's address, as the proxy before told it or else as the kernel says.
    public var remote: Address?
    /// Bytes from the caller to the backend, and back.
    public var sent: UInt64 = 0
    public var received: UInt64 = 0
    /// Milliseconds from its beginning to its end.
    public var duration: UInt64 = 0
    /// Why it ended before its time; nil when both sides ended in order.
    public var failure: Failure?
}

/// What a listener of tunnels asks.
public protocol TunnelService: AnyObject {
    /// What it counts.
    var metrics: StreamMetrics { get }
    /// Whether every connection must begin with the PROXY protocol's header.
    var awaitsProxyHeader: Bool { get }
    /// Milliseconds without a byte in either direction.
    var idle: UInt64 { get }
    /// A connection was accepted.
    func makeRoute() -> any TunnelRoute
}

/// Accepts connections on one loop whose bytes go on as they come: no TLS is ended here.
public final class TunnelListener: Listener, Acceptor {
    public var maximumConnections: Int
    let service: any TunnelService
    private var tunnels: [ObjectIdentifier: Tunnel] = [:]
    /// Called when draining and the last tunnel is gone.
    private var onEmpty: (() -> Void)?

    /// Listens at `address`; past `maximumConnections` new ones are closed at once.
    public init(
        on loop: EventLoop, address: Address, service: any TunnelService,
        maximumConnections: Int
    ) throws(SocketError) {
        self.service = service
        self.maximumConnections = maximumConnections
        try super.init(on: loop, address: address)
    }

    public override func didBecomeReady() {
        let caller = TunnelSide(on: loop, kind: address, isCaller: true)
        do {
            try caller.accept(from: self)
        } catch {
            return caller.close()
        }
        guard tunnels.count < maximumConnections else { return caller.close() }
        let tunnel = Tunnel(caller, of: self)
        tunnels[ObjectIdentifier(tunnel)] = tunnel
        service.metrics.accepted.add(1)
        service.metrics.openConnections.add(1)
        tunnel.begin()
    }

    func forget(_ tunnel: Tunnel) {
        guard tunnels.removeValue(forKey: ObjectIdentifier(tunnel)) != nil else { return }
        service.metrics.openConnections.add(-1)
        if tunnels.isEmpty, let onEmpty {
            self.onEmpty = nil
            onEmpty()
        }
    }

    /// Accepts no more, since nothing can be said in a tunnel; what stands ends when its ends do,
    /// then `done` is called.
    public func drain(refusing refusal: Failure?, then done: @escaping () -> Void) {
        close()
        guard !tunnels.isEmpty else { return done() }
        onEmpty = done
    }

    /// Only its ends know where a tunnel may end.
    public func drainConnections() {}

    /// Nobody was admitted to a tunnel.
    public func expireAdmissions(cutting failure: Failure?) {}

    public func stop() {
        close()
        for tunnel in Array(tunnels.values) { tunnel.end(.tunnelClosed) }
    }
}
