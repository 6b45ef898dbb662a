internal import Appraisal
internal import RATLS

/// What is known of a caller once its connection was opened; named to the backend and in logs.
final class AdmittedCaller {
    /// The name of the policy's entry that admitted it, or `anonymous`.
    let name: String
    /// `session`, `static`, or `none` for an anonymous caller.
    let tier: String
    /// The challenges that this side has answered on the connection, whichever way they came.
    var challenges: ChallengeCount
    /// What its Evidence came to when the connection was opened; nil where it showed none.
    let result: AttestationResult?
    /// The Evidence that this came of, where the channel keeps it.
    let evidence: SessionEvidence?

    /// `answered` is how many exchanges the connection began with.
    init(
        name: String, tier: String, answered: UInt32, result: AttestationResult? = nil,
        evidence: SessionEvidence? = nil
    ) {
        self.name = name
        self.tier = tier
        self.result = result
        self.evidence = evidence
        challenges = ChallengeCount(answered: answered)
    }
}
