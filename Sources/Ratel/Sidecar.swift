internal import Appraisal
internal import Logging
internal import Loop
internal import RATLS
internal import Streams
internal import TLS

/// `ratel serve`: attested callers in front, the inference backend behind.
public enum Sidecar {
    /// Serves until it is told to stop; answers the exit status.
    public static func run(_ settings: ServiceSettings) throws(ConfigurationError) -> Int32 {
        let logger = settings.logging.logger("serve")
        let policy = try settings.policy.load(logger)
        let attester = try settings.attester.make(logger)
        let verifier = ChannelVerifier(demandsCertificate: !policy.isAnonymous)
        let identity = try makeIdentity(
            .server,
            [
                ChannelProtocol.attestedHTTP2, ChannelProtocol.attestedHTTP1,
                ChannelProtocol.plainHTTP2, ChannelProtocol.plainHTTP1,
            ], verifier,
            attester, settings.identity, settings.gateway.padding.records)
        let log = ChannelLog(logger: logger, accessLog: settings.logging.accessLog)
        let store = try settings.collateral.make(
            roots: CollateralRoots(policy: policy), logger)
        let metering = try settings.offers.map { path throws(ConfigurationError) in
            try Metering(path: path, logger: logger)
        }
        let channel = Channel(
            role: .server, identity: identity, policy: policy,
            appraisals: Appraisals(store: store), quotes: QuoteQueue(), log: log
        ) { [settings, metering] policy in
            EffectiveConfiguration(
                use: "serve", accessLog: settings.logging.accessLog,
                upstream: settings.upstream.isLoopback ? "loopback" : "network",
                forwardsClientAddress: settings.gateway.forwardsClientAddress,
                padding: settings.gateway.padding,
                policyDigest: policy.digest, receiptKey: metering?.book.keyset)
        }
        let operation = RelayOperation(
            settings.gateway, channel: channel, policy: settings.policy,
            identity: settings.identity, logger: logger,
            upstream: settings.upstream, upstreamName: "backend", metering: metering
        ) { loop, metrics in
            RelayService(
                on: loop, metrics: metrics, settings: settings.gateway, front: .attested(channel),
                target: UpstreamTarget(address: settings.upstream, security: .plain), log: log,
                metering: metering)
        }
        return try ServiceRuntime(
            operation, settings.gateway, logger: logger, admin: settings.admin
        ).run()
    }
}
