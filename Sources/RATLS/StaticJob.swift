public import Appraisal
internal import Keys
public import RATS
public import TLS

/// Work on Evidence that may need collateral first: pure computation, too slow for an event loop.
public protocol Appraisable: Sendable {
    /// What comes of it.
    associatedtype Outcome: Sendable

    /// The collateral that it cannot be done without.
    func needs(roots: CollateralRoots) -> [CollateralNeed]
    /// What the peer sent along.
    var endorsements: [Endorsement] { get }
    /// Does it, with `endorsements` in place of what the peer sent where they are given.
    func run(endorsements: [Endorsement]?, cache: AppraisalCache?) -> Result<Outcome, Refusal>
}

extension AppraisalJob: Appraisable {}

/// The appraisal of a server that speaks no exchange, by the Evidence in the certificate of one
/// handshake: the static tier (`protocol.md`, "Tiers").
public struct StaticJob: Appraisable {
    /// An admission over the connection of that handshake.
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

    private let certificate: Certificate
    private let policy: AppraisalPolicy
    private let channelID: UInt64
    private let now: Int64

    /// Takes the certificate of `handshake`; refuses where no peer of the policy may be known by
    /// static Evidence.
    public init(
        _ handshake: Handshake, policy: AppraisalPolicy, now: Int64
    ) throws(Refusal) {
        guard policy.acceptsStatic else { throw StaticJob.sessionRequired(handshake) }
        guard let der = handshake.peerCertificate, let key = handshake.peerKey,
            let certificate = try? Certificate(der: der),
            ConstantTime.equal(certificate.spki, key)
        else { throw AttestedLeaf.none }
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
                policy, endorsements: endorsements, tier: .static, end: certificate.notAfter,
                now: now)
            return .success(
                Outcome(
                    result: result, dialect: carried.dialect.rawValue, channelID: channelID))
        } catch {
            return .failure(error)
        }
    }

    // Of several forms in one certificate, all of which are of its key, the first counts. Read
    // anew each time: what reads it checks signatures, and belongs away from event loops.
    private func carried() throws(Refusal) -> CarriedEvidence {
        try AttestedLeaf(certificate, now: now).carried[0]
    }
}
