internal import Appraisal
internal import Bytes
internal import Keys
internal import Logging
internal import Loop
internal import RATLS
internal import RATS
internal import Streams
internal import TLS

/// One side of attested channels: what it presents, what it asks, and where it says so.
final class Channel: Sendable {
    let role: Role
    let identity: ChannelIdentity
    /// Appraises peers.
    let appraisals: Appraisals
    let quotes: QuoteQueue
    /// What is remembered of peers that attested.
    let leases = LeaseBook()
    let log: ChannelLog

    private let keepsEvidence: Bool
    private let describe: @Sendable (AppraisalPolicy) -> EffectiveConfiguration
    private let state: Locked<(policy: AppraisalPolicy, settings: ExchangeSettings)>

    /// `describe` gives what this side tells its peers of how it runs under a policy;
    /// `keepsEvidence` says that what admits a peer is handed on with it.
    init(
        role: Role, identity: ChannelIdentity, policy: AppraisalPolicy, appraisals: Appraisals,
        quotes: QuoteQueue, log: ChannelLog, keepsEvidence: Bool = false,
        describe: @escaping @Sendable (AppraisalPolicy) -> EffectiveConfiguration
    ) {
        self.role = role
        self.identity = identity
        self.quotes = quotes
        self.log = log
        self.appraisals = appraisals
        self.describe = describe
        self.keepsEvidence = keepsEvidence
        state = Locked((policy, Channel.settings(policy, identity, keepsEvidence, describe)))
        appraisals.store?.whenReplaced { [weak self] in self?.forget() }
    }

    /// What the next exchange asks and presents.
    var settings: ExchangeSettings { state.withLock { $0.settings } }

    /// The policy in force.
    var policy: AppraisalPolicy { state.withLock { $0.policy } }

    /// Appraises from now on under `policy`; exchanges under way open nothing.
    func replace(_ policy: AppraisalPolicy) {
        let settings = Channel.settings(policy, identity, keepsEvidence, describe)
        state.withLock { $0 = (policy, settings) }
        appraisals.store?.roots = CollateralRoots(policy: policy)
        forget()
    }

    /// Forgets every result: what they rest on has changed.
    func forget() {
        appraisals.cache.removeAll()
        leases.removeAll()
    }

    /// What an exchange has to know of one connection.
    func facts(of link: Link, _ handshake: Handshake) -> ChannelFacts {
        link.facts(handshake, as: role)
    }

    /// What leases are kept under: a client's channel leads to one server, whatever keys that has;
    /// callers are told apart by theirs, so that none hears of the others' binding keys.
    func origin(of facts: ChannelFacts) -> [UInt8] {
        role == .client ? [] : Digest.sha256(facts.peerSPKI ?? [])
    }

    private static func settings(
        _ policy: AppraisalPolicy, _ identity: ChannelIdentity, _ keepsEvidence: Bool,
        _ describe: (AppraisalPolicy) -> EffectiveConfiguration
    ) -> ExchangeSettings {
        ExchangeSettings(
            asks: .policy(policy),
            attestation: identity.attester.map {
                ExchangeSettings.Attestation(attester: $0, bindingKeys: identity.bindingKeys)
            },
            configuration: describe(policy).encoded, keepsEvidence: keepsEvidence)
    }

    /// Begins TLS on an accepted connection.
    func accept(_ connection: Downstream) {
        connection.begin(
            identity.current.context, serverName: nil, preamble: ChannelPreamble(self))
    }

    /// How connections to the peer of this channel are protected.
    func upstreamSecurity(serverName: String?) -> UpstreamTarget.Security {
        .tls(
            context: { self.identity.current.context }, serverName: serverName,
            preamble: { ChannelPreamble(self) })
    }

    /// `dialect` is how another system's server carried its Evidence.
    func admitted(
        _ link: Link, _ caller: AdmittedCaller, _ result: AttestationResult?,
        dialect: String? = nil, wasLeased: Bool = false
    ) {
        let connection = link as? Downstream
        link.peer = caller
        var details: Logger.Metadata = ["role": "\(role.name)"]
        if let dialect { details["dialect"] = "\(dialect)" }
        if wasLeased {
            log.leases.addShared(1)
            details["lease"] = "true"
        }
        if let result {
            let kinds = result.evidence.map { $0.format.rawValue }
            details["evidence"] = "\(kinds.joined(separator: ","))"
            details["policy"] = "\(Hex.encode(Array(result.policyDigest.prefix(8))))"
            if result.isSimulated {
                log.logger.critical(
                    """
                    SIMULATED EVIDENCE was admitted because the policy says `simulated: true`: it \
                    vouches for nothing
                    """)
            }
        }
        log.admitted(connection?.remote ?? link.peerAddress, caller, details: details)
    }

    func refused(_ link: Link, _ failure: Failure) {
        log.refused((link as? Downstream)?.remote ?? link.peerAddress, failure)
    }
}
