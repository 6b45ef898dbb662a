public import HTTP
public import Loop

/// What the connections of one listener are for; one per loop and listener.
public protocol StreamService: AnyObject {
    /// How long each wait may last.
    var budgets: Budgets { get }
    /// Caps on heads.
    var limits: HTTPLimits { get }
    /// What it counts.
    var metrics: StreamMetrics { get }
    /// A connection was accepted: call one of its `begin` methods.
    func begin(_ connection: Downstream)
    /// Makes what decides on the requests of a connection that was opened.
    func makeHandler(for connection: Downstream) -> any RequestHandler
    /// A connection is over; nil when it ended in order.
    func ended(_ connection: Downstream, _ error: LinkError?)
    /// What peers were admitted by has changed: end the admissions of upstream links, with
    /// a failure also the links.
    func expireAdmissions(cutting failure: Failure?)
    /// The worker is ending: give up idle upstream links and timers.
    func close()
}

/// What accepts connections at one address on one loop, whatever becomes of them.
public protocol Acceptor: AnyObject {
    /// The address bound, with the port the system chose where 0 was asked.
    var address: Address { get }
    /// Connections that may stand at once; past them new ones are closed.
    var maximumConnections: Int { get set }
    /// Each connection ends in its own time, then `done` is called. New ones are accepted and hear
    /// `refusal`, where they can be told; with nil none is accepted.
    func drain(refusing refusal: Failure?, then done: @escaping () -> Void)
    /// Each connection of now ends in its own time; accepting goes on.
    func drainConnections()
    /// Ends every admission: no request begins on a connection that stands, and with a failure it
    /// ends.
    func expireAdmissions(cutting failure: Failure?)
    /// Closes everything at once.
    func stop()
}

/// Accepts connections on one loop for one service.
public final class StreamListener: Listener, Acceptor {
    let service: any StreamService
    public var maximumConnections: Int
    private var connections: [ObjectIdentifier: Downstream] = [:]
    /// What connections hear that open while this drains.
    private(set) var refusal: Failure?
    /// Connections that a drain waits for: those that were open when it began.
    private var awaited = 0
    /// Called when draining and the last of them is gone.
    private var onEmpty: (() -> Void)?

    /// Listens at `address`; past `maximumConnections` new ones are closed at once.
    public init(
        on loop: EventLoop, address: Address, service: any StreamService,
        maximumConnections: Int
    ) throws(SocketError) {
        self.service = service
        self.maximumConnections = maximumConnections
        try super.init(on: loop, address: address)
    }

    public override func didBecomeReady() {
        let connection = Downstream(listener: self)
        do {
            try connection.accept(from: self)
        } catch {
            return connection.close()
        }
        guard connections.count < maximumConnections else { return connection.close() }
        connections[ObjectIdentifier(connection)] = connection
        service.metrics.accepted.add(1)
        service.metrics.openConnections.add(1)
        connection.didAccept()
        service.begin(connection)
    }

    func forget(_ connection: Downstream) {
        guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        service.metrics.openConnections.add(-1)
        guard connection.isAwaited else { return }
        awaited -= 1
        if awaited == 0, let onEmpty {
            self.onEmpty = nil
            onEmpty()
        }
    }

    /// Each connection ends after its present exchange, then `done` is called; those that open
    /// later are answered with `refusal` until this stops.
    public func drain(refusing refusal: Failure?, then done: @escaping () -> Void) {
        self.refusal = refusal
        if refusal == nil { close() }
        for connection in connections.values where refusal == nil || connection.isOpen {
            connection.isAwaited = true
            awaited += 1
        }
        guard awaited > 0 else { return done() }
        onEmpty = done
        drainConnections()
    }

    public func drainConnections() {
        for connection in Array(connections.values) { connection.drain() }
    }

    /// Ends every admission: no request begins on a connection that stands, its next exchange
    /// needs a new one.
    public func expireAdmissions(cutting failure: Failure?) {
        for connection in Array(connections.values) where connection.expiresAt != nil {
            if let failure {
                connection.endAdmission(failure, afterStreams: false)
            } else {
                connection.expire()
            }
        }
        service.expireAdmissions(cutting: failure)
    }

    public func stop() {
        close()
        for connection in Array(connections.values) { connection.abort() }
        service.close()
    }
}
