internal import Bytes
internal import Logging
internal import Loop
internal import RATLS
internal import Streams
internal import Synchronization
internal import TLS

/// One backend as every worker sees it: its health, its load, and how it is reached.
final class BackendState: Sendable {
    /// How the way there is protected, with what that takes.
    enum Way: Sendable {
        case plain
        case tls(TLSContext, WebServerVerifier)
        case attested(Channel)
    }

    let settings: ProxyBackend
    let way: Way
    /// Requests and connections under way there now, of all workers.
    let openStreams = Counter()
    /// Requests and connections that were sent there.
    let requests = Counter()
    /// Connections to it that could not be made.
    let failures = Counter()
    /// Connections of tunnels to it.
    let tunnels = Counter()

    private let log: ChannelLog
    private let isUsable = Atomic<Bool>(true)
    private let health = Locked(Health())
    /// Of each worker's pool.
    private let pools = Locked<[StreamMetrics]>([])

    private struct Health {
        var trouble: String?
        /// Checks in a row that say the other thing than `isUsable`.
        var contrary = 0
        var checks = 0
    }

    /// What its peer was told of this side, where it is attested.
    let facts: ProxyFacts

    /// `trouble` is what was known of it before a reload.
    init(
        _ settings: ProxyBackend, way: Way, facts: ProxyFacts, log: ChannelLog,
        trouble: String? = nil
    ) {
        self.settings = settings
        self.facts = facts
        self.way = way
        self.log = log
        if let trouble {
            health.withLock { $0.trouble = trouble }
            isUsable.store(false, ordering: .relaxed)
        }
    }

    /// Whether requests may go there.
    var isUp: Bool { isUsable.load(ordering: .relaxed) }

    /// Why not; nil where they may.
    var trouble: String? { health.withLock { $0.trouble } }

    /// Whether it was checked at all.
    var wasChecked: Bool { health.withLock { $0.checks > 0 } }

    /// Takes the result of a check; nil is a good one.
    func checked(_ trouble: String?) {
        let change: Bool = health.withLock { health in
            health.checks += 1
            let isGood = trouble == nil
            guard isGood != isUp else {
                health.contrary = 0
                return false
            }
            health.contrary += 1
            let needed =
                isGood ? settings.health.successes : settings.health.failures
            guard health.contrary >= needed else { return false }
            health.contrary = 0
            health.trouble = trouble
            isUsable.store(isGood, ordering: .relaxed)
            return true
        }
        if change { tell(trouble) }
    }

    /// A connection could not be made: nothing goes there until a check is good.
    func connectionFailed(_ trouble: String) {
        failures.addShared(1)
        let change: Bool = health.withLock { health in
            health.contrary = 0
            health.trouble = trouble
            return isUsable.exchange(false, ordering: .relaxed)
        }
        if change { tell(trouble) }
    }

    private func tell(_ trouble: String?) {
        if let trouble {
            log.logger.warning(
                "backend down", metadata: ["backend": "\(settings.name)", "why": "\(trouble)"])
        } else {
            log.logger.notice("backend up", metadata: ["backend": "\(settings.name)"])
        }
    }

    /// What the workers' connections to it count.
    var metrics: [StreamMetrics] { pools.withLock { $0 } }

    /// Counters for the pool of one more worker.
    func makeMetrics(_ loop: EventLoop) -> StreamMetrics {
        let metrics = StreamMetrics(loop.traffic)
        pools.withLock { $0.append(metrics) }
        return metrics
    }

    /// Where a loop's pool connects to.
    func target() -> UpstreamTarget {
        var target = UpstreamTarget(address: settings.address, security: security)
        target.budgets.connect = settings.connect
        target.maximumConnections = settings.maximumConnections
        target.announcesCaller = settings.announcesCaller
        target.offersHTTP2 = settings.sharesConnections
        return target
    }

    /// How a link to it is opened.
    var security: UpstreamTarget.Security {
        switch way {
        case .plain: return .plain
        case .tls(let context, let verifier):
            let log = log
            return .tls(
                context: { context },
                serverName: Address.ip(host: verifier.host, port: 0).serverName,
                preamble: { WebPreamble(.server(verifier), log: log) })
        case .attested(let channel):
            return channel.upstreamSecurity(serverName: settings.address.serverName)
        }
    }
}
