internal import Appraisal
internal import Logging
internal import RATLS
internal import RATS
internal import Streams
internal import TLS

/// Makes what a provider is reached by: two attested channels under one policy.
final class ProviderMaker: Sendable {
    private let settings: RouterSettings
    private let attester: (any Attester)?
    private let quotes: QuoteQueue
    private let log: ChannelLog

    init(
        _ settings: RouterSettings, attester: (any Attester)?, quotes: QuoteQueue,
        log: ChannelLog
    ) {
        self.settings = settings
        self.attester = attester
        self.quotes = quotes
        self.log = log
    }

    func make(_ place: ProviderPlace) throws(ConfigurationError) -> Provider {
        let policy = try PolicySource(path: place.policy).load(log.logger)
        guard !policy.isAnonymous else {
            throw ConfigurationError(
                "the provider \(place.name): a policy with `peers: anonymous` admits anybody")
        }
        return Provider(
            name: place.name, address: place.address, policyPath: place.policy,
            channel: try channel(
                [ChannelProtocol.attestedHTTP2, ChannelProtocol.attestedHTTP1], policy),
            control: try channel([ChannelProtocol.attestedHTTP1], policy, keepsEvidence: true))
    }

    private func channel(
        _ protocols: [String], _ policy: AppraisalPolicy, keepsEvidence: Bool = false
    ) throws(ConfigurationError) -> Channel {
        let identity = try makeIdentity(
            .client, protocols, ChannelVerifier(demandsCertificate: true), attester, nil,
            settings.gateway.padding.records)
        let store = try settings.collateral.make(
            roots: CollateralRoots(policy: policy), log.logger)
        return Channel(
            role: .client, identity: identity, policy: policy,
            appraisals: Appraisals(store: store), quotes: quotes, log: log,
            keepsEvidence: keepsEvidence
        ) { [settings] policy in
            EffectiveConfiguration(
                use: "route", accessLog: settings.logging.accessLog, upstream: "network",
                forwardsClientAddress: false, padding: settings.gateway.padding,
                policyDigest: policy.digest)
        }
    }
}
