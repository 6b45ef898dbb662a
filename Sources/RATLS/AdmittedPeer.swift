public import Appraisal
public import RATS

/// The right to pass application bytes on one connection.
///
/// Not copyable, and made by nothing but a settled `Exchange` of that connection: code that has
/// one has verified.
public struct AdmittedPeer: ~Copyable, Sendable {
    /// What is known of the peer. Whoever opens a route decides for each case.
    public enum Standing: Sendable {
        /// Its Evidence over this connection was appraised and admitted.
        case attested(AttestationResult)
        /// Nothing was asked, because the policy is written `peers: anonymous`.
        case anonymous
        /// It would have been refused, and the policy is written `mode: observe`. It must not
        /// reach anything that requires attestation.
        case observed(Refusal)
    }

    /// The connection that this right belongs to.
    public let channelID: UInt64
    /// What is known of the peer.
    public let standing: Standing
    /// SHA-384 of the policy, 48 bytes; empty where there is none.
    public let policyDigest: [UInt8]

    /// When the challenge was sent that the admission rests on, in milliseconds since boot; 0
    /// where nothing was asked.
    public let askedAt: UInt64
    /// Whether it rests on Evidence over an earlier connection, and a lease over this one.
    public let wasLeased: Bool
    /// The Evidence that admitted it, where the exchange keeps that; nil after a lease.
    public let evidence: SessionEvidence?

    init(
        channelID: UInt64, standing: Standing, policyDigest: [UInt8], askedAt: UInt64 = 0,
        wasLeased: Bool = false, evidence: SessionEvidence? = nil
    ) {
        self.channelID = channelID
        self.standing = standing
        self.policyDigest = policyDigest
        self.askedAt = askedAt
        self.wasLeased = wasLeased
        self.evidence = evidence
    }

    /// The result that admitted the peer, if there is one.
    public var result: AttestationResult? {
        if case .attested(let result) = standing { result } else { nil }
    }

    /// The name by which the policy admitted the peer, or `anonymous`, or `observed`.
    public var name: String {
        switch standing {
        case .attested(let result): result.peer
        case .anonymous: "anonymous"
        case .observed: "observed"
        }
    }
}
