public import Appraisal
internal import Keys
public import RATS
public import TLS

/// The appraisal of a server that speaks no exchange of Ratel's, by what it showed on one
/// connection: Evidence in the certificate of the handshake, the static tier, or Flashbots' message
/// after it, which covers the session (`protocol.md`, "Tiers").
public struct ForeignJob: Appraisable {
    /// An admission over that connection.
    public struct Outcome: Sendable {
        /// What the policy makes of the server.
        public let result: AttestationResult
        /// The form that the Evidence came in.
        public let dialect: String
        let channelID: UInt64

        /// The right to pass application bytes on that connection.
        public func admit() -> AdmittedPeer {
            AdmittedPeer(
                channelID: channelID, standing: .attested(result),
                policyDigest: result.policyDigest)
        }
    }

    private enum Source {
        case certificate
        /// The message, and the exporter of the connection that it came over.
        case message(FlashbotsMessage, exporter: [UInt8])
    }

    private let source: Source
    private let certificate: Certificate
    private let policy: AppraisalPolicy
    private let channelID: UInt64
    private let now: Int64

    /// Takes the certificate of `handshake`; refuses where no peer of the policy may be known by
    /// static Evidence.
    public init(
        _ handshake: Handshake, policy: AppraisalPolicy, now: Int64
    ) throws(Refusal) {
        guard policy.acceptsStatic else { throw ForeignJob.sessionRequired(handshake) }
        try self.init(.certificate, handshake, policy, now)
    }

    /// Takes the message that the server of `handshake` sent, and the connection's exporter.
    public init(
        _ message: FlashbotsMessage, exporter: [UInt8], of handshake: Handshake,
        policy: AppraisalPolicy, now: Int64
    ) throws(Refusal) {
        try self.init(.message(message, exporter: exporter), handshake, policy, now)
    }

    private init(
        _ source: Source, _ handshake: Handshake, _ policy: AppraisalPolicy, _ now: Int64
    ) throws(Refusal) {
        guard let der = handshake.peerCertificate, let key = handshake.peerKey,
            let certificate = try? Certificate(der: der),
            ConstantTime.equal(certificate.spki, key)
        else { throw AttestedLeaf.none }
        self.source = source
        self.certificate = certificate
        channelID = handshake.channelID
        self.policy = policy
        self.now = now
    }

    /// Refuses a server that speaks no exchange, under a policy that asks for one.
    public static func sessionRequired(_ handshake: Handshake) -> Refusal {
        Refusal(
            "policy.tier.mismatch", .policy, field: "tier",
            expected: "session: \(ChannelProtocol.attestedHTTP1)",
            got: handshake.applicationProtocol.map { "the application protocol \($0)" }
                ?? "no application protocol",
            remedy: "run `ratel serve` there; or, if Evidence over a key will do, write "
                + "`tier: static`")
    }

    public func needs(roots: CollateralRoots) -> [CollateralNeed] {
        (try? carried())?.needs(roots: roots, now: now) ?? []
    }

    public var endorsements: [Endorsement] { (try? carried())?.stapled ?? [] }

    public func run(
        endorsements: [Endorsement]? = nil, cache: AppraisalCache? = nil
    ) -> Result<Outcome, Refusal> {
        do throws(Refusal) {
            let carried = try carried()
            let result = try carried.appraise(
                policy, endorsements: endorsements, tier: tier, end: certificate.notAfter,
                now: now)
            return .success(
                Outcome(
                    result: result, dialect: carried.dialect.rawValue, channelID: channelID))
        } catch {
            return .failure(error)
        }
    }

    private var tier: AttestationResult.Tier {
        if case .message = source { .session } else { .static }
    }

    // Read anew each time: what reads it checks signatures, and belongs away from event loops. Of
    // several forms in one certificate, all of which are of its key, the first counts.
    private func carried() throws(Refusal) -> CarriedEvidence {
        switch source {
        case .certificate: try AttestedLeaf(certificate, now: now).carried[0]
        case .message(let message, let exporter):
            try message.carried(certificate, binding: exporter)
        }
    }
}
