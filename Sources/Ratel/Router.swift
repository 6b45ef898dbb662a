internal import Appraisal
internal import Keys
internal import Logging
internal import RATLS
internal import RATS
internal import Streams
internal import TLS

/// `ratel route`: callers in front, attested providers behind, a market between them, and a signed
/// receipt for each answer.
public enum Router {
    /// Serves until it is told to stop; answers the exit status.
    public static func run(_ settings: RouterSettings) throws(ConfigurationError) -> Int32 {
        let logger = settings.logging.logger("route")
        let policy = try settings.policy.load(logger)
        let attester = try settings.attester.make(logger)
        let file: RouterFile
        do throws(Refusal) {
            file = try RouterFile.load(settings.file)
        } catch {
            throw ConfigurationError("--providers \(settings.file): \(error)")
        }
        if file.asksKubernetes, settings.kubernetes == nil { throw KubernetesAPI.missing }
        let book = try RouterBook(
            folder: settings.state, place: settings.ledger, period: settings.period,
            logger: logger)
        let log = ChannelLog(logger: logger, accessLog: settings.logging.accessLog)
        let quotes = QuoteQueue()
        let identity = try makeIdentity(
            .server,
            [
                ChannelProtocol.attestedHTTP2, ChannelProtocol.attestedHTTP1,
                ChannelProtocol.plainHTTP2, ChannelProtocol.plainHTTP1,
            ], ChannelVerifier(demandsCertificate: !policy.isAnonymous), attester,
            settings.identity, settings.gateway.padding.records)
        let store = try settings.collateral.make(roots: CollateralRoots(policy: policy), logger)
        let front = Channel(
            role: .server, identity: identity, policy: policy,
            appraisals: Appraisals(store: store), quotes: quotes, log: log
        ) { [settings, receiptKey = Digest.sha256(book.key.spki)] policy in
            EffectiveConfiguration(
                use: "route", accessLog: settings.logging.accessLog, upstream: "network",
                forwardsClientAddress: false, padding: settings.gateway.padding,
                policyDigest: policy.digest, receiptKey: receiptKey)
        }
        let router = RouterState(
            settings, file, book: book, front: front,
            maker: ProviderMaker(settings, attester: attester, quotes: quotes, log: log),
            log: log)
        return try ServiceRuntime(
            RouterOperation(router), settings.gateway, logger: logger, admin: settings.admin
        ).run()
    }
}
