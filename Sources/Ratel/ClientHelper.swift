internal import Appraisal
internal import Keys
internal import Logging
internal import Loop
internal import RATLS
internal import Streams
internal import TLS

/// `ratel connect`: plaintext for callers on this machine in front, one attested server behind.
public enum ClientHelper {
    /// Serves until it is told to stop; answers the exit status.
    public static func run(_ settings: ServiceSettings) throws(ConfigurationError) -> Int32 {
        let logger = settings.logging.logger("connect")
        let policy = try settings.policy.load(logger)
        let attester = try settings.attester.make(logger)
        let identity = try makeIdentity(
            .client,
            [
                ChannelProtocol.attestedHTTP2, ChannelProtocol.attestedHTTP1,
                FlashbotsMessage.applicationProtocol,
                ChannelProtocol.plainHTTP1,
            ], try settings.serverVerifier(), attester, settings.identity,
            settings.gateway.padding.records)
        let log = ChannelLog(logger: logger, accessLog: settings.logging.accessLog)
        let store = try settings.collateral.make(
            roots: CollateralRoots(policy: policy), logger)
        let channel = Channel(
            role: .client, identity: identity, policy: policy,
            appraisals: Appraisals(store: store), quotes: QuoteQueue(), log: log
        ) { [settings] policy in
            EffectiveConfiguration(
                use: "connect", accessLog: settings.logging.accessLog,
                upstream: "network",
                forwardsClientAddress: settings.gateway.forwardsClientAddress,
                padding: settings.gateway.padding,
                policyDigest: policy.digest)
        }
        if !settings.gateway.listen.isLoopback {
            logger.warning(
                "callers are not protected on their way to this helper: it listens beyond loopback",
                metadata: ["listen": "\(settings.gateway.listen)"])
        }
        let operation = RelayOperation(
            settings.gateway, channel: channel, policy: settings.policy,
            identity: settings.identity, logger: logger,
            upstream: settings.upstream, upstreamName: "server"
        ) { [settings] loop, metrics in
            var target = UpstreamTarget(
                address: settings.upstream,
                security: channel.upstreamSecurity(serverName: settings.upstream.serverName))
            target.offersHTTP2 = true
            target.isRatel = true
            return RelayService(
                on: loop, metrics: metrics, settings: settings.gateway, front: .plain,
                target: target, log: log)
        }
        return try ServiceRuntime(
            operation, settings.gateway, logger: logger, admin: settings.admin
        ).run()
    }
}

extension ServiceSettings {
    /// What is asked of the server's certificate, beside its Evidence.
    fileprivate func serverVerifier() throws(ConfigurationError) -> ChannelVerifier {
        guard let serverRoots else { return ChannelVerifier(demandsCertificate: true) }
        // As many as the system has.
        guard let pem = System.readFile(serverRoots, limit: 4 << 20) else {
            throw ConfigurationError("--server-roots \(serverRoots): cannot be read")
        }
        guard case .ip(let host, _) = upstream else {
            throw ConfigurationError("--server-roots: a Unix socket has no name to vouch for")
        }
        do throws(KeyError) {
            return ChannelVerifier(
                demandsCertificate: true,
                name: WebServerVerifier(
                    host: host, anchors: try Certificate.read(pem: pem, limit: 1_024),
                    now: { System.now }))
        } catch {
            throw ConfigurationError("--server-roots \(serverRoots): \(error)")
        }
    }
}

extension Address {
    /// The name for SNI: host names only, RFC 6066 section 3 allows no addresses.
    var serverName: String? {
        guard case .ip(let host, _) = self, !isNumeric else { return nil }
        return host
    }
}
