internal import Appraisal
internal import Bytes
internal import Keys
internal import Logging
internal import Loop
internal import RATLS
internal import RATS
internal import Streams
internal import TLS

/// Makes a plan of a configuration: TLS contexts, attested channels, and what outlives a reload.
final class ProxyPlanner: Sendable {
    let settings: ProxySettings
    let log: ProxyLog
    private let attester = Locked<(any Attester)??>(nil)
    /// One queue: quotes come from one piece of hardware.
    private let quotes = QuoteQueue()

    init(_ settings: ProxySettings, log: ProxyLog) {
        self.settings = settings
        self.log = log
    }

    /// Makes a plan; what is as it was in the plan `before` is taken over with its keys, health and
    /// counts. Blocks for a quote where an attested side is new.
    func plan(
        _ configuration: ProxyConfiguration, after before: ProxyPlan?
    ) throws(ConfigurationError) -> ProxyPlan {
        var backends: [BackendState] = []
        for backend in configuration.backends {
            let facts = ProxyFacts(towards: backend, in: configuration)
            let old = before?.backends.first { $0.settings.name == backend.name }
            if let old, old.settings == backend, old.isFit(facts) {
                backends.append(old)
                continue
            }
            let isSamePlace = old?.settings.address == backend.address
            backends.append(
                BackendState(
                    backend, way: try way(backend, facts), facts: facts, log: log.channel,
                    trouble: isSamePlace ? old?.trouble : nil))
        }
        var routes: [RouteState] = []
        for route in configuration.routes {
            let chosen = pick(route.backends, backends)
            let old = before?.routes.first { $0.settings == route }
            if let old, old.backends.elementsEqual(chosen, by: { $0 === $1 }) {
                routes.append(old)
            } else {
                routes.append(RouteState(route, backends: chosen))
            }
        }
        var listeners: [ListenerState] = []
        for listener in configuration.listeners {
            let facts = ProxyFacts(listener, in: configuration)
            let chosen = pick(listener.passthroughBackends, backends)
            let old = before?.listeners[listener.key]
            if let old, old.settings == listener, old.isFit(facts, chosen) {
                listeners.append(old)
            } else {
                listeners.append(
                    ListenerState(
                        listener, front: try front(listener, facts, chosen, old), facts: facts))
            }
        }
        return ProxyPlan(
            configuration, listeners: listeners, routes: routes, backends: backends)
    }

    private func pick(_ names: [String], _ all: [BackendState]) -> [BackendState] {
        names.compactMap { name in all.first { $0.settings.name == name } }
    }

    // MARK: Listeners

    private func front(
        _ listener: ProxyListener, _ facts: ProxyFacts, _ chosen: [BackendState],
        _ old: ListenerState?
    ) throws(ConfigurationError) -> ListenerState.Front {
        switch listener.protection {
        case .plain:
            if !listener.address.isLoopback {
                log.logger.warning(
                    "callers are not protected on their way here: a plain listener beyond loopback",
                    metadata: ["listener": "\(listener.name)", "address": "\(listener.address)"])
            }
            return .plain
        case .tls(let certificate):
            let verifier = WebCallerVerifier()
            do throws(TLSError) {
                return .tls(
                    try TLSContext(
                        side: .server, identity: certificate.identity,
                        protocols: [ChannelProtocol.plainHTTP2, ChannelProtocol.plainHTTP1],
                        verifier: verifier, profile: .web, padding: facts.records), verifier)
            } catch {
                throw ConfigurationError("the listener \(listener.name): \(error)")
            }
        case .attested(let path, let certificate):
            if let channel = old?.channel, old?.settings.protection == listener.protection,
                old?.facts == facts
            {
                return .attested(channel)
            }
            let protocols = [
                ChannelProtocol.attestedHTTP2, ChannelProtocol.attestedHTTP1,
                ChannelProtocol.plainHTTP2, ChannelProtocol.plainHTTP1,
            ]
            return .attested(
                try channel(
                    .server, protocols, facts, policy: path, identity: certificate?.identity))
        case .passthrough(let passthrough):
            return .passthrough(chosen, idle: passthrough.idle)
        }
    }

    // MARK: Backends

    private func way(
        _ backend: ProxyBackend, _ facts: ProxyFacts
    ) throws(ConfigurationError) -> BackendState.Way {
        switch backend.protection {
        case .plain: return .plain
        case .tls(let name, let roots):
            let verifier = WebServerVerifier(
                host: name, anchors: roots.certificates, now: { System.now })
            do throws(TLSError) {
                return .tls(
                    try TLSContext(
                        side: .client, identity: nil, protocols: [ChannelProtocol.plainHTTP1],
                        verifier: verifier, profile: .web, padding: facts.records), verifier)
            } catch {
                throw ConfigurationError("the backend \(backend.name): \(error)")
            }
        case .attested(let path):
            var protocols = [
                ChannelProtocol.attestedHTTP1, FlashbotsMessage.applicationProtocol,
                ChannelProtocol.plainHTTP1,
            ]
            if backend.sharesConnections { protocols.insert(ChannelProtocol.attestedHTTP2, at: 0) }
            return .attested(try channel(.client, protocols, facts, policy: path, identity: nil))
        }
    }

    // MARK: Attested sides

    private func channel(
        _ role: Role, _ protocols: [String], _ facts: ProxyFacts, policy path: String,
        identity: TLSIdentity?
    ) throws(ConfigurationError) -> Channel {
        let policy = try PolicySource(path: path).load(log.logger)
        let attester = try makeAttester()
        let isServer = role == .server
        let store = try settings.collateral.make(
            roots: CollateralRoots(policy: policy), log.logger)
        do throws(Refusal) {
            let accessLog = settings.logging.accessLog
            return Channel(
                role: role,
                identity: try ChannelIdentity(
                    side: isServer ? .server : .client, protocols: protocols,
                    verifier: ChannelVerifier(demandsCertificate: !isServer || !policy.isAnonymous),
                    attester: attester, provided: identity, padding: facts.records),
                policy: policy, appraisals: Appraisals(store: store), quotes: quotes,
                log: log.channel
            ) { policy in
                facts.configuration(accessLog: accessLog, policyDigest: policy.digest)
            }
        } catch {
            throw ConfigurationError(error.description)
        }
    }

    /// Made once, when the first attested side needs it.
    private func makeAttester() throws(ConfigurationError) -> (any Attester)? {
        if let made = attester.withLock({ $0 }) { return made }
        let made = try settings.attester.make(log.logger)
        attester.withLock { $0 = .some(made) }
        return made
    }
}

extension BackendState {
    /// Whether it still does, and says, what is so.
    fileprivate func isFit(_ facts: ProxyFacts) -> Bool {
        switch way {
        case .plain: true
        case .tls: self.facts.records == facts.records
        case .attested: self.facts == facts
        }
    }
}

extension ListenerState {
    /// Whether it still does, and says, what is so, and leads where it should.
    fileprivate func isFit(_ facts: ProxyFacts, _ chosen: [BackendState]) -> Bool {
        switch front {
        case .plain: true
        case .tls: self.facts.records == facts.records
        case .attested: self.facts == facts
        case .passthrough(let backends, _): backends.elementsEqual(chosen, by: { $0 === $1 })
        }
    }
}

extension ProxyListener {
    /// Backends by name; none where requests are routed.
    var passthroughBackends: [String] {
        if case .passthrough(let passthrough) = protection { passthrough.backends } else { [] }
    }
}

extension ProxyConfiguration {
    /// The routes that requests of a listener may take.
    func routes(of listener: ProxyListener) -> [ProxyRoute] {
        routes.filter { $0.match.listeners?.contains(listener.name) ?? true }
    }

    /// The backends that requests of a listener may reach.
    func reach(of listener: ProxyListener) -> [ProxyBackend] {
        var names = Set(listener.passthroughBackends)
        for route in routes(of: listener) { names.formUnion(route.backends) }
        return backends.filter { names.contains($0.name) }
    }
}
