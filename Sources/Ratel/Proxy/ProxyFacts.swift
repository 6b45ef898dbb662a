internal import Loop
internal import TLS

/// What one side of a proxy does on its connections; where it is attested, what it tells its peers
/// of how it runs, beside its policy.
struct ProxyFacts: Sendable, Equatable {
    /// `loopback` where everything that its requests may reach is on this machine, else `network`.
    let upstream: String
    let forwardsClientAddress: Bool
    /// What each of its requests gets, at least.
    let padding: Padding
    /// What its connections do, which may carry requests of several routes.
    let records: RecordPadding

    /// Of a listener.
    init(_ listener: ProxyListener, in configuration: ProxyConfiguration) {
        let routes = configuration.routes(of: listener)
        forwardsClientAddress = listener.forwardsClientAddress
        upstream =
            configuration.reach(of: listener).allSatisfy(\.address.isLoopback)
            ? "loopback" : "network"
        padding = .weakest(routes.map(\.padding))
        // Older callers are turned away only where somebody wrote that padding has to be.
        let isDemanded = routes.contains { $0.writtenPadding.map { $0 != .off } ?? false }
        records = ProxyFacts.records(routes, isDemanded ? .demanded : .offered)
    }

    /// Towards a backend. Its answers are its own to pad, and nothing goes there at ticks.
    init(towards backend: ProxyBackend, in configuration: ProxyConfiguration) {
        let routes = configuration.routes.filter { $0.backends.contains(backend.name) }
        upstream = "network"
        forwardsClientAddress = configuration.listeners.contains(where: \.forwardsClientAddress)
        padding = .weakest(routes.map(\.padding) + [.records])
        records = ProxyFacts.records(routes, .offered)
    }

    /// The requests of any route may share a connection: where one is padded, all are.
    private static func records(
        _ routes: [ProxyRoute], _ padded: RecordPadding
    ) -> RecordPadding {
        !routes.isEmpty && routes.allSatisfy { $0.padding == .off } ? .off : padded
    }

    func configuration(
        accessLog: AccessLog, policyDigest: [UInt8]
    ) -> EffectiveConfiguration {
        EffectiveConfiguration(
            use: "proxy", accessLog: accessLog, upstream: upstream,
            forwardsClientAddress: forwardsClientAddress, padding: padding,
            policyDigest: policyDigest)
    }
}
