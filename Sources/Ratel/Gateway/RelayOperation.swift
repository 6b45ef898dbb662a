internal import Logging
internal import Loop
internal import Streams

/// One gateway to one upstream: what the sidecar and the client helper are.
final class RelayOperation: Operation {
    let gateway: Gateway
    let channel: Channel
    var status: any OperationStatus { state }
    var channels: [Channel] { [channel] }

    private let workers: WorkerGroup
    private let upstream: Address
    private let logger: Logger
    private let policyWatch: PolicyWatch
    private let certificateWatch: CertificateWatch?
    private let state: ServiceStatus
    private var probe: BackendProbe?
    private let metering: Metering?
    private var queueWatch: QueueWatch?

    /// `makeService` makes what a worker's connections are for, on that worker's loop.
    init(
        _ settings: GatewaySettings, channel: Channel, policy: PolicySource,
        identity: ProvidedIdentity?, logger: Logger, upstream: Address, upstreamName: String,
        metering: Metering? = nil,
        makeService: @escaping @Sendable (EventLoop, StreamMetrics) -> any StreamService
    ) {
        self.channel = channel
        self.metering = metering
        certificateWatch = identity.map {
            CertificateWatch($0, channel: channel, logger: logger)
        }
        self.upstream = upstream
        self.logger = logger
        var count = settings.workers
        // A path has one listener, and a second worker would have nothing to do.
        if case .unix = settings.listen { count = 1 }
        workers = WorkerGroup(
            count: count, buffers: settings.buffersPerWorker, gather: settings.gather)
        let gateway = Gateway(at: settings.listen, on: workers) {
            (member, address, metrics) throws(SocketError) in
            let loop = member.loop.value
            return try StreamListener(
                on: loop, address: address, service: makeService(loop, metrics),
                maximumConnections: settings.maximumConnections)
        }
        self.gateway = gateway
        policyWatch = PolicyWatch(policy, channel: channel, logger: logger) { failure in
            gateway.expireAdmissions(cutting: failure)
        }
        state = ServiceStatus(
            gateway: gateway, channel: channel, policy: policyWatch, upstreamName: upstreamName)
    }

    var addresses: [(name: String, address: Address)] { [("address", gateway.address)] }

    var connectionChanges: Int { gateway.connectionChanges }

    func start(on loop: EventLoop) throws(ConfigurationError) {
        try gateway.startAlone()
        watchUpstream(on: loop)
        if let metering { queueWatch = QueueWatch(metering, of: upstream, on: loop) }
    }

    private func watchUpstream(on loop: EventLoop) {
        var last: String?? = .none
        probe = BackendProbe(upstream, on: loop) { [state, logger] trouble in
            state.set(upstream: trouble)
            if last != .some(trouble) {
                if let trouble {
                    logger.warning("upstream unreachable", metadata: ["why": "\(trouble)"])
                } else {
                    logger.info("upstream reachable")
                }
            }
            last = .some(trouble)
        }
    }

    func expireAdmissions(cutting failure: Failure?) { gateway.expireAdmissions(cutting: failure) }

    func check(isAsked: Bool) {
        policyWatch.check(isAsked: isAsked)
        certificateWatch?.check(isAsked: isAsked)
        metering?.check(isAsked: isAsked)
    }

    func drain(then done: @escaping @Sendable () -> Void) {
        gateway.drain(refusing: .draining, then: done)
    }

    func close() {
        probe?.close()
        probe = nil
        queueWatch?.close()
        queueWatch = nil
    }

    func stop() {
        gateway.stop()
        workers.stop()
    }
}
