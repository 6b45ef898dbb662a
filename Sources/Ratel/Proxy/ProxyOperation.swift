internal import Bytes
internal import Logging
internal import Loop
internal import Streams

/// A whole proxy: one group of workers, a gateway for each listener, and the plan in force.
///
/// Reloads run on the thread that looks at files; what they change is handed to each loop. One is
/// put in force whole before an ending begins, or not at all: an ending ends what listens then.
final class ProxyOperation: Operation, Sendable {
    private let planner: ProxyPlanner
    private let log: ProxyLog
    private let path: String
    private let workers: WorkerGroup
    private let sites: [LoopBound<ProxySite>]
    private let state: Locked<State>
    /// Whether an ending has begun; held while a plan is put in force, which takes milliseconds.
    private let isEnding = Locked(false)
    private let proxyStatus: ProxyStatus
    private let monitor = Locked<(mailbox: Mailbox, bound: LoopBound<HealthMonitor>)?>(nil)

    private struct State {
        var plan: ProxyPlan
        /// By the key that outlives a reload.
        var gateways: [String: Gateway] = [:]
        /// Those whose listeners are gone, until their last stream has ended.
        var leaving: [ObjectIdentifier: Gateway] = [:]
        var watches: [ObjectIdentifier: PolicyWatch] = [:]
        /// Called when the last of `leaving` is gone.
        var onEmpty: (@Sendable () -> Void)?
    }

    /// Makes the first plan and starts the workers.
    init(
        _ configuration: ProxyConfiguration, _ settings: ProxySettings, log: ProxyLog
    ) throws(ConfigurationError) {
        self.log = log
        path = configuration.path
        planner = ProxyPlanner(settings, log: log)
        let plan = try planner.plan(configuration, after: nil)
        workers = WorkerGroup(
            count: settings.gateway.workers, buffers: settings.gateway.buffersPerWorker,
            gather: settings.gateway.gather)
        // What bodies that are read for their model may take: as much as the slab of buffers.
        let memory = settings.gateway.buffersPerWorker * BufferPool.bufferSize
        sites = workers.members.map { member in
            LoopBound(ProxySite(on: member.loop.value, plan: plan, memory: memory))
        }
        let state = Locked(State(plan: plan))
        self.state = state
        proxyStatus = ProxyStatus(log: log) {
            state.withLock { state in
                let listening = state.plan.configuration.listeners.compactMap { listener in
                    state.gateways[listener.key].map {
                        ProxyStatus.Listening(
                            settings: listener, address: $0.address.description,
                            metrics: $0.metrics)
                    }
                }
                return (state.plan, listening)
            }
        }
    }

    var status: any OperationStatus { proxyStatus }
    var channels: [Channel] { state.withLock { $0.plan.channels } }

    var connectionChanges: Int {
        state.withLock { Array($0.gateways.values) }.reduce(0) { $0 + $1.connectionChanges }
    }

    var addresses: [(name: String, address: Address)] {
        state.withLock { state in
            state.plan.configuration.listeners.compactMap { listener in
                state.gateways[listener.key].map { (listener.name, $0.address) }
            }
        }
    }

    // MARK: Beginning

    func start(on loop: EventLoop) throws(ConfigurationError) {
        let plan = state.withLock { $0.plan }
        do {
            let gateways = try listen(plan, beside: [:])
            state.withLock { $0.gateways = gateways }
        } catch {
            stop()
            throw error
        }
        watchPolicies(of: plan)
        let monitor = HealthMonitor(on: loop)
        monitor.apply(plan)
        self.monitor.withLock { [bound = LoopBound(monitor), mailbox = loop.mailbox] in
            $0 = (mailbox, bound)
        }
    }

    /// Starts the gateways of a plan that are not there yet; answers all of them. When one cannot
    /// listen, none of the new ones is left.
    private func listen(
        _ plan: ProxyPlan, beside present: [String: Gateway]
    ) throws(ConfigurationError) -> [String: Gateway] {
        var gateways: [String: Gateway] = [:]
        var started: [Gateway] = []
        for (key, listener) in plan.listeners {
            if let gateway = present[key] {
                gateways[key] = gateway
                continue
            }
            let gateway = makeGateway(listener)
            // The same address under another key: what is there gives it up after this.
            let isVacated = present.values.contains { $0.address == listener.settings.address }
            do {
                try gateway.start(isVacated: isVacated)
            } catch {
                for gateway in started { gateway.stop() }
                throw ConfigurationError(
                    "the listener \(listener.settings.name) cannot listen at "
                        + "\(listener.settings.address): \(error)")
            }
            started.append(gateway)
            gateways[key] = gateway
        }
        return gateways
    }

    private func makeGateway(_ listener: ListenerState) -> Gateway {
        Gateway(at: listener.settings.address, on: workers) {
            [sites, log] (member, address, metrics) throws(SocketError) in
            let loop = member.loop.value
            let site = sites[member.index].value
            let maximum = listener.settings.maximumConnections
            if listener.settings.isPassthrough {
                return try TunnelListener(
                    on: loop, address: address,
                    service: PassthroughService(listener, at: site, metrics: metrics, log: log),
                    maximumConnections: maximum)
            }
            return try StreamListener(
                on: loop, address: address,
                service: ProxyService(listener, at: site, metrics: metrics, log: log),
                maximumConnections: maximum)
        }
    }

    /// One watch for each attested side; those of sides that are gone end.
    private func watchPolicies(of plan: ProxyPlan) {
        state.withLock { state in
            var watches: [ObjectIdentifier: PolicyWatch] = [:]
            for listener in plan.listeners.values {
                guard case .attested(let path, _) = listener.settings.protection,
                    let channel = listener.channel
                else { continue }
                let gateway = state.gateways[listener.settings.key]
                let key = ObjectIdentifier(channel)
                watches[key] =
                    state.watches[key]
                    ?? watch(path, channel) { gateway?.expireAdmissions(cutting: $0) }
            }
            for backend in plan.backends {
                guard case .attested(let channel) = backend.way,
                    case .attested(let path) = backend.settings.protection
                else { continue }
                let key = ObjectIdentifier(channel)
                watches[key] =
                    state.watches[key]
                    ?? watch(path, channel) { [workers, sites] failure in
                        for member in workers.members {
                            member.mailbox.post {
                                sites[member.index].value.expireAdmissions(
                                    of: backend, cutting: failure)
                            }
                        }
                    }
            }
            state.watches = watches
        }
    }

    func expireAdmissions(cutting failure: Failure?) {
        let (plan, gateways) = state.withLock { ($0.plan, Array($0.gateways.values)) }
        for gateway in gateways { gateway.expireAdmissions(cutting: failure) }
        for backend in plan.backends {
            for member in workers.members {
                member.mailbox.post { [sites] in
                    sites[member.index].value.expireAdmissions(of: backend, cutting: failure)
                }
            }
        }
    }

    private func watch(
        _ path: String, _ channel: Channel,
        expire: @escaping @Sendable (_ cutting: Failure?) -> Void
    ) -> PolicyWatch {
        PolicyWatch(
            PolicySource(path: path), channel: channel, logger: log.logger,
            expireAdmissions: expire)
    }

    // MARK: Reloading

    func check(isAsked: Bool) {
        if isAsked { reload() }
        for watch in state.withLock({ Array($0.watches.values) }) {
            watch.check(isAsked: isAsked)
        }
    }

    private func reload() {
        do {
            let configuration = try load()
            let before = state.withLock { $0.plan }
            let plan = try planner.plan(configuration, after: before)
            try isEnding.withLock { isEnding throws(ConfigurationError) in
                guard !isEnding else {
                    throw ConfigurationError("proxy.reload.draining: the process is ending")
                }
                try put(plan, after: before)
            }
            proxyStatus.countReload(isGood: true)
            log.logger.notice(
                "the file was put in force",
                metadata: [
                    "file": "\(path)", "listeners": "\(plan.listeners.count)",
                    "routes": "\(plan.routes.count)", "backends": "\(plan.backends.count)",
                ])
        } catch {
            proxyStatus.countReload(isGood: false)
            log.logger.error(
                "the file was not put in force; what was read before stays",
                metadata: ["file": "\(path)", "why": "\(error)"])
        }
    }

    private func load() throws(ConfigurationError) -> ProxyConfiguration {
        let configuration = try ProxyConfiguration.read(path)
        let before = state.withLock { $0.plan.configuration.process }
        let changed = Set(before.keys).union(configuration.process.keys).filter {
            before[$0] != configuration.process[$0]
        }
        guard changed.isEmpty else {
            throw ConfigurationError(
                "proxy.reload.restart: \(changed.sorted().joined(separator: ", ")): expected what "
                    + "the process was started with, got another value (restart to change it)")
        }
        return configuration
    }

    private func put(_ plan: ProxyPlan, after before: ProxyPlan) throws(ConfigurationError) {
        let present = state.withLock { $0.gateways }
        let gateways = try listen(plan, beside: present)
        workers.run { [sites] member in sites[member.index].value.apply(plan) }
        state.withLock {
            $0.plan = plan
            $0.gateways = gateways
        }
        leave(present.filter { gateways[$0.key] == nil }.map(\.value), refusing: nil)
        for (key, gateway) in present {
            if let listener = plan.listeners[key] {
                gateway.limit(to: listener.settings.maximumConnections)
            }
            // Callers were told what no longer holds: they connect again and hear it.
            guard let old = before.listeners[key], old.channel != nil,
                let new = plan.listeners[key], new.channel !== old.channel
            else { continue }
            gateway.drainConnections()
        }
        watchPolicies(of: plan)
        if let (mailbox, bound) = monitor.withLock({ $0 }) {
            mailbox.post { bound.value.apply(plan) }
        }
    }

    private func leave(_ gateways: [Gateway], refusing refusal: Failure?) {
        // All before the first: one that is empty at once must not be taken for the last.
        state.withLock { state in
            for gateway in gateways { state.leaving[ObjectIdentifier(gateway)] = gateway }
        }
        for gateway in gateways { leave(gateway, refusing: refusal) }
    }

    private func leave(_ gateway: Gateway, refusing refusal: Failure?) {
        log.logger.notice("listener leaves", metadata: ["address": "\(gateway.address)"])
        gateway.drain(refusing: refusal) { [state, log] in
            log.logger.notice("listener left", metadata: ["address": "\(gateway.address)"])
            // In the end all go on refusing until the last is empty.
            if refusal == nil { gateway.stop() }
            let onEmpty = state.withLock { state in
                state.leaving[ObjectIdentifier(gateway)] = nil
                return state.leaving.isEmpty ? state.onEmpty : nil
            }
            onEmpty?()
        }
    }

    // MARK: Ending

    func drain(then done: @escaping @Sendable () -> Void) {
        isEnding.withLock { $0 = true }
        let gateways = state.withLock { state in
            // Told by whichever ends last, those that a reload left included.
            state.onEmpty = done
            return Array(state.gateways.values)
        }
        leave(gateways, refusing: .draining)
    }

    func close() {
        guard let (_, bound) = monitor.withLock({ $0 }) else { return }
        bound.value.close()
    }

    func stop() {
        isEnding.withLock { $0 = true }
        let gateways = state.withLock { state in
            Array(state.gateways.values) + Array(state.leaving.values)
        }
        for gateway in gateways { gateway.stop() }
        workers.run { [sites] member in sites[member.index].value.close() }
        workers.stop()
    }
}
