public import Appraisal
public import TLS

extension AdmittedPeer {
    /// Admits a caller that speaks no exchange, because the policy says `peers: anonymous` in so
    /// many words; nil under any other policy.
    public static func anonymous(policy: AppraisalPolicy, channelID: UInt64) -> AdmittedPeer? {
        guard policy.isAnonymous else { return nil }
        return AdmittedPeer(
            channelID: channelID,
            standing: .anonymous,
            policyDigest: policy.digest
        )
    }

    /// Whether the peer may reach what requires admission: attested, or anonymous where the policy
    /// says so. A peer that is only observed may not.
    public var mayPass: Bool {
        switch standing {
        case .attested, .anonymous: true
        case .observed: false
        }
    }

    /// Trades this right for the one that opens the connection; nil for a peer that is only
    /// observed.
    public consuming func passage() -> Passage? {
        mayPass ? Passage(channelID: channelID) : nil
    }
}
