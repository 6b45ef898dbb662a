internal import Loop

/// What one attested side of a proxy tells its peers of how it runs, beside its policy.
struct ProxyFacts: Sendable, Equatable {
    /// `loopback` where everything that its requests may reach is on this machine, else `network`.
    let upstream: String
    let forwardsClientAddress: Bool

    /// Of a listener whose requests may reach `backends`.
    init(_ listener: ProxyListener, reaching backends: [ProxyBackend]) {
        forwardsClientAddress = listener.forwardsClientAddress
        upstream = backends.allSatisfy(\.address.isLoopback) ? "loopback" : "network"
    }

    /// Towards a backend that callers of `listeners` may reach.
    init(towardsBackendOf listeners: [ProxyListener]) {
        upstream = "network"
        forwardsClientAddress = listeners.contains(where: \.forwardsClientAddress)
    }

    func configuration(
        accessLog: AccessLog, policyDigest: [UInt8]
    ) -> EffectiveConfiguration {
        EffectiveConfiguration(
            use: "proxy", accessLog: accessLog, upstream: upstream,
            forwardsClientAddress: forwardsClientAddress, policyDigest: policyDigest)
    }
}
