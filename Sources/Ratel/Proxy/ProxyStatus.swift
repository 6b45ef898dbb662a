internal import Bytes
internal import Loop
internal import Streams

/// What a proxy shows on its admin listener.
final class ProxyStatus: OperationStatus, Sendable {
    private struct State {
        var listening: String? = "not yet"
        var evidence: String? = "not yet"
        var draining = false
        var reloads = 0
        var reloadFailures = 0
    }

    /// One listener with what its workers count.
    struct Listening: Sendable {
        let settings: ProxyListener
        let address: String
        let metrics: [StreamMetrics]
    }

    private let state = Locked(State())
    private let log: ProxyLog
    private let look: @Sendable () -> (plan: ProxyPlan, listening: [Listening])?

    /// `look` gives what is in force.
    init(
        log: ProxyLog, look: @escaping @Sendable () -> (plan: ProxyPlan, listening: [Listening])?
    ) {
        self.log = log
        self.look = look
    }

    func set(listening trouble: String?) { state.withLock { $0.listening = trouble } }
    func set(evidence trouble: String?) { state.withLock { $0.evidence = trouble } }
    func setDraining() { state.withLock { $0.draining = true } }
    func countReload(isGood: Bool) {
        state.withLock { if isGood { $0.reloads += 1 } else { $0.reloadFailures += 1 } }
    }

    var readiness: [(name: String, trouble: String?)] {
        let now = state.withLock { $0 }
        var conditions: [(name: String, trouble: String?)] = [
            ("listening", now.draining ? "draining" : now.listening)
        ]
        guard let plan = look()?.plan else { return conditions }
        if !plan.channels.isEmpty { conditions.append(("evidence", now.evidence)) }
        if !plan.backends.isEmpty {
            let isUsable = plan.backends.contains { $0.isUp && $0.wasChecked }
            conditions.append(("backends", isUsable ? nil : "none is known to be up"))
        }
        return conditions
    }

    var report: String? {
        guard let (plan, listening) = look() else { return nil }
        var text = ""
        for listener in listening {
            text += "listener \(listener.settings.name) \(listener.address): "
            text += "\(listener.sum { $0.openConnections.now }) connections\n"
        }
        for route in plan.routes {
            let up = route.backends.filter(\.isUp).count
            text += "route \(route.settings.name): \(up) of \(route.backends.count) backends up, "
            text += "\(route.openStreams.now) streams\n"
        }
        for backend in plan.backends {
            let health = backend.trouble.map { "down, \($0)" } ?? "up"
            let known = backend.wasChecked ? health : "not checked yet"
            text += "backend \(backend.settings.name) \(backend.settings.address): \(known); "
            text += "\(backend.openStreams.now) streams\n"
        }
        return text
    }

    var exposition: String {
        var page = Exposition()
        page.gauge(
            "ratel_ready", "Whether /readyz answers 200.",
            readiness.allSatisfy { $0.trouble == nil } ? 1 : 0)
        let now = state.withLock { $0 }
        page.counter("ratel_reloads_total", "Times that the file was put in force.", now.reloads)
        page.counter(
            "ratel_reload_failures_total", "Times that the file could not be used.",
            now.reloadFailures)
        guard let (plan, listening) = look() else { return page.text }
        page.addTraffic(
            of: listening.flatMap(\.metrics), upstream: plan.backends.flatMap(\.metrics),
            log: log.channel)
        if let quotes = plan.channels.first?.quotes {
            page.addAttestation(
                quotes, plan.channels.map(\.identity.bindingKeys), log.channel)
        }
        addListeners(listening, to: &page)
        addRoutes(plan.routes, to: &page)
        addBackends(plan.backends, to: &page)
        return page.text
    }

    private func addListeners(_ listening: [Listening], to page: inout Exposition) {
        func each(_ pick: (StreamMetrics) -> Int) -> [(String, Int)] {
            listening.map { ($0.settings.name, $0.sum(pick)) }
        }
        page.counters(
            "ratel_listener_connections_total", "Connections accepted.", label: "listener",
            each { $0.accepted.now })
        page.gauges(
            "ratel_listener_connections", "Connections open now.", label: "listener",
            each { $0.openConnections.now })
        page.counters(
            "ratel_listener_requests_total", "Request heads read.", label: "listener",
            each { $0.requests.now })
    }

    private func addRoutes(_ routes: [RouteState], to page: inout Exposition) {
        func each(_ pick: (RouteState) -> Int) -> [(String, Int)] {
            routes.map { ($0.settings.name, pick($0)) }
        }
        page.counters(
            "ratel_route_requests_total", "Requests that took the route.", label: "route",
            each { $0.requests.now })
        page.gauges(
            "ratel_route_streams", "Requests under way now.", label: "route",
            each { $0.openStreams.now })
        page.counters(
            "ratel_route_failures_total", "Requests that ended with a failure or a refusal.",
            label: "route", each { $0.failures.now })
    }

    private func addBackends(_ backends: [BackendState], to page: inout Exposition) {
        func each(_ pick: (BackendState) -> Int) -> [(String, Int)] {
            backends.map { ($0.settings.name, pick($0)) }
        }
        page.gauges(
            "ratel_backend_up", "Whether requests may go there.", label: "backend",
            each { $0.isUp ? 1 : 0 })
        page.gauges(
            "ratel_backend_streams", "Requests and connections under way there now.",
            label: "backend", each { $0.openStreams.now })
        page.counters(
            "ratel_backend_requests_total", "Requests and connections sent there.",
            label: "backend", each { $0.requests.now })
        page.counters(
            "ratel_backend_connect_failures_total", "Connections that could not be made.",
            label: "backend", each { $0.failures.now })
        page.counters(
            "ratel_backend_connections_total", "Connections made.", label: "backend",
            each { $0.metrics.sum { $0.upstreamConnects.now } + $0.tunnels.now })
        page.counters(
            "ratel_backend_reuses_total", "Requests sent over a kept connection.",
            label: "backend", each { $0.metrics.sum { $0.upstreamReuses.now } })
    }
}

extension ProxyStatus.Listening {
    func sum(_ pick: (StreamMetrics) -> Int) -> Int { metrics.sum(pick) }
}

extension [StreamMetrics] {
    /// The sum of one of their counters.
    func sum(_ pick: (StreamMetrics) -> Int) -> Int { reduce(0) { $0 + pick($1) } }
}
