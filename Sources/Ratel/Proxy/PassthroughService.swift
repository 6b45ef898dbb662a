internal import Loop
internal import Streams

/// Where the connections of one passthrough listener go, on one worker.
final class PassthroughService: TunnelService {
    let metrics: StreamMetrics
    private let log: ProxyLog
    private let turn = Counter()
    private let view: ListenerView

    init(_ listener: ListenerState, at site: ProxySite, metrics: StreamMetrics, log: ProxyLog) {
        self.metrics = metrics
        self.log = log
        view = ListenerView(listener, at: site)
    }

    /// The listener as the plan in force has it.
    private var listener: ListenerState { view.listener }

    var awaitsProxyHeader: Bool { listener.settings.awaitsProxyHeader }
    var maximumConnections: Int { listener.settings.maximumConnections }

    var idle: UInt64 {
        if case .passthrough(_, let idle) = listener.front { idle } else { Budgets().gap }
    }

    func makeRoute() -> any TunnelRoute {
        PassthroughRoute(service: self, name: listener.settings.name, log: log)
    }

    /// The next backend for a connection that was not yet at any of `tried`.
    func choose(without tried: [BackendState]) -> BackendState? {
        guard case .passthrough(let backends, _) = listener.front else { return nil }
        return BackendChoice.leastStreams(backends, turn: turn, without: tried)
    }
}

/// Where one connection goes.
private final class PassthroughRoute: TunnelRoute {
    private let service: PassthroughService
    private let name: String
    private let log: ProxyLog
    private var backend: BackendState?
    private var tried: [BackendState] = []

    init(service: PassthroughService, name: String, log: ProxyLog) {
        self.service = service
        self.name = name
        self.log = log
    }

    func next() -> TunnelTarget? {
        guard let backend = service.choose(without: tried) else { return nil }
        self.backend = backend
        backend.openStreams.addShared(1)
        backend.requests.addShared(1)
        backend.tunnels.addShared(1)
        return TunnelTarget(
            address: backend.settings.address, connect: backend.settings.connect,
            announcesCaller: backend.settings.announcesCaller)
    }

    func failed(_ error: SocketError) {
        guard let backend = leave() else { return }
        backend.connectionFailed("\(error)")
        tried.append(backend)
    }

    func ended(_ summary: TunnelSummary) {
        let backend = leave()
        log.finished(summary, listener: name, backend: backend?.settings.name)
    }

    private func leave() -> BackendState? {
        let left = backend
        backend = nil
        left?.openStreams.addShared(-1)
        return left
    }
}
