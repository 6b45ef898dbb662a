internal import HTTP
internal import Logging
internal import Loop
internal import Streams

/// Relays the requests of one listener to one target: the sidecar's and the client helper's work.
final class RelayService: StreamService {
    let budgets: Budgets
    let limits: HTTPLimits
    let metrics: StreamMetrics

    let settings: GatewaySettings
    let pool: UpstreamPool
    let log: ChannelLog
    private let front: Front
    private let metering: Metering?

    /// How a listener's connections are protected.
    enum Front {
        /// Plaintext: callers on this machine.
        case plain
        /// TLS, opened by what the preamble finds.
        case attested(Channel)
    }

    init(
        on loop: EventLoop, metrics: StreamMetrics, settings: GatewaySettings, front: Front,
        target: UpstreamTarget, log: ChannelLog, metering: Metering? = nil
    ) {
        self.metering = metering
        self.settings = settings
        self.metrics = metrics
        self.front = front
        self.log = log
        budgets = settings.budgets
        limits = settings.limits
        var target = target
        target.budgets = settings.budgets
        pool = UpstreamPool(on: loop, target: target, metrics: metrics)
    }

    func begin(_ connection: Downstream) {
        switch front {
        case .plain: connection.begin()
        case .attested(let channel): channel.accept(connection)
        }
    }

    /// What callers are attested with; nil where they are on this machine.
    var channel: Channel? {
        if case .attested(let channel) = front { channel } else { nil }
    }

    func makeHandler(for connection: Downstream) -> any RequestHandler {
        if let metering {
            return MeteredHandler(service: self, metering: metering, connection: connection)
        }
        return RelayHandler(service: self, connection: connection)
    }

    func ended(_ connection: Downstream, _ error: LinkError?) {
        log.ended(connection, error)
    }

    func expireAdmissions(cutting failure: Failure?) {
        pool.expireAdmissions(cutting: failure)
    }

    func close() {
        pool.close()
    }
}

/// Passes each request of one connection on, with what the backend may know of the caller.
private final class RelayHandler: RequestHandler {
    private let service: RelayService
    private let caller: CallerFacts
    private let wellKnown: WellKnownEndpoint

    init(service: RelayService, connection: Downstream) {
        self.service = service
        wellKnown = WellKnownEndpoint(channel: service.channel, connection: connection)
        caller = CallerFacts(
            connection, forwardsAddress: service.settings.forwardsClientAddress)
    }

    func handle(_ head: RequestHead) -> Disposition {
        if WellKnownPath.isReserved(head.path) { return wellKnown.disposition(of: head) }
        return .forward(caller.forward(head, to: service.pool.target.address), service.pool)
    }

    func answer(_ body: [UInt8], with reply: LocalReply) { wellKnown.answer(body, with: reply) }

    var sendsAtTicks: Bool { service.settings.padding == .tick }

    func finished(_ summary: ExchangeSummary) {
        service.log.finished(summary)
    }
}
