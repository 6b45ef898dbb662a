/// What is in force between two reloads: listeners, routes and backends, ready to use.
final class ProxyPlan: Sendable {
    let configuration: ProxyConfiguration
    /// By the key that outlives a reload.
    let listeners: [String: ListenerState]
    let routes: [RouteState]
    let backends: [BackendState]

    init(
        _ configuration: ProxyConfiguration, listeners: [ListenerState], routes: [RouteState],
        backends: [BackendState]
    ) {
        self.configuration = configuration
        self.listeners = Dictionary(uniqueKeysWithValues: listeners.map { ($0.settings.key, $0) })
        self.routes = routes
        self.backends = backends
    }

    /// Every attested side, those of listeners first.
    var channels: [Channel] {
        var found = listeners.values.compactMap(\.channel)
        for backend in backends {
            if case .attested(let channel) = backend.way { found.append(channel) }
        }
        return found
    }
}
