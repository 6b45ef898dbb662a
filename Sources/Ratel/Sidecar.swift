internal import Appraisal
internal import Logging
public import Loop
internal import RATLS
internal import Streams
internal import TLS

/// `ratel serve`: attested callers in front, the inference backend behind.
public enum Sidecar {
    /// What the sidecar is told.
    public struct Settings: Sendable {
        /// Listener, workers, budgets.
        public var gateway: GatewaySettings
        /// The backend: plaintext, in the same trust domain.
        public var backend: Address
        /// Who may call.
        public var policy: PolicySource
        /// What attests for this side.
        public var attester: AttesterSettings
        /// A certificate of a public CA or SPIFFE, in place of the self-signed one.
        public var identity: ProvidedIdentity?
        /// Health, readiness, metrics; nil for none.
        public var admin: Address?
        /// Logs.
        public var logging: LoggingSettings

        /// Collects the settings.
        public init(
            gateway: GatewaySettings, backend: Address, policy: PolicySource,
            attester: AttesterSettings, identity: ProvidedIdentity?, admin: Address?,
            logging: LoggingSettings
        ) {
            self.gateway = gateway
            self.backend = backend
            self.policy = policy
            self.attester = attester
            self.identity = identity
            self.admin = admin
            self.logging = logging
        }
    }

    /// Serves until it is told to stop; answers the exit status.
    public static func run(_ settings: Settings) throws(ConfigurationError) -> Int32 {
        let logger = settings.logging.logger("serve")
        let policy = try settings.policy.load(logger)
        let attester = try settings.attester.make(logger)
        let verifier = ChannelVerifier(demandsCertificate: !policy.isAnonymous)
        let identity = try makeIdentity(
            .server, [ChannelProtocol.attestedHTTP1, ChannelProtocol.plainHTTP1], verifier,
            attester, settings.identity)
        let log = ChannelLog(logger: logger, accessLog: settings.logging.accessLog)
        let configuration = EffectiveConfiguration(
            use: "serve", accessLog: settings.logging.accessLog,
            upstream: settings.backend.isLoopback ? "loopback" : "network",
            forwardsClientAddress: settings.gateway.forwardsClientAddress,
            policyDigest: policy.digest)
        let channel = Channel(
            role: .server, identity: identity, policy: policy,
            configuration: configuration.encoded, quotes: QuoteQueue(), log: log)
        let gateway = Gateway(settings.gateway) { loop, metrics in
            RelayService(
                on: loop, metrics: metrics, settings: settings.gateway, front: .attested(channel),
                target: UpstreamTarget(address: settings.backend, security: .plain), log: log)
        }
        return try ServiceRuntime(
            gateway: gateway, channel: channel, logger: logger, admin: settings.admin,
            upstream: settings.backend, upstreamName: "backend", grace: settings.gateway.grace
        ).run()
    }
}
