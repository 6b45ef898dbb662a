internal import Keys
public import RATS

extension CarriedEvidence {
    /// The collateral that it cannot be appraised without, of what is worth asking a vendor for at
    /// the Unix time `now`. Checks signatures: away from event loops.
    public func needs(roots: CollateralRoots, now: Int64) -> [CollateralNeed] {
        CollateralNeed.of(evidence, roots: roots, now: now)
    }

    /// What came along with it, beside the Evidence and within.
    public var stapled: [Endorsement] { endorsements + CollateralNeed.carried(by: evidence) }

    /// Checks structure, signatures and binding; what is trusted is not yet asked.
    ///
    /// `endorsements` are used in place of what came along, where they are given.
    public func authenticate(
        endorsements: [Endorsement]? = nil
    ) throws(Refusal) -> [AuthenticEvidence] {
        try Appraiser.authenticate(submission(endorsements), expected: expected)
    }

    /// Appraises it under `policy` at the Unix time `now`.
    ///
    /// `anchors` are trusted beside the roots of the policy. The result lasts no longer than `end`,
    /// the Unix time at which the certificate ends whose key it covers. What needs a further answer
    /// of the machine is refused.
    public func appraise(
        _ policy: AppraisalPolicy, anchors: TrustAnchors = TrustAnchors(),
        endorsements: [Endorsement]? = nil, tier: AttestationResult.Tier, end: Int64 = .max,
        now: Int64
    ) throws(Refusal) -> AttestationResult {
        guard coversKey else {
            throw AttestationEndpoint.refusal(
                dialect, "binding.key", "report_data", "one that covers the connection's key",
                formula)
        }
        let submission = submission(endorsements)
        let outcome = try Appraiser.decide(
            try Appraiser.authenticate(submission, expected: expected),
            endorsements: submission.endorsements, configuration: submission.configuration,
            policy: policy.trusting(anchors), now: now, tier: tier)
        guard case .admitted(let result) = outcome else {
            throw Refusal(
                "tpm.activation.offline", .policy, kind: "tpm", field: "credential activation",
                expected: "an exchange with the machine", got: dialect.rawValue,
                remedy: "pin the attestation key in the policy (tpm.ak), or connect through Ratel")
        }
        return result.ending(by: end)
    }

    // Systems other than Ratel say nothing of how they run: a policy that asks is not met.
    private func submission(_ endorsements: [Endorsement]?) -> Appraiser.Submission {
        Appraiser.Submission(
            evidence: evidence, endorsements: endorsements ?? self.endorsements,
            configuration: Array("{}".utf8))
    }
}

extension AttestationResult {
    fileprivate func ending(by end: Int64) -> AttestationResult {
        AttestationResult(
            peer: peer, tier: tier, policyDigest: policyDigest, evidence: evidence,
            configuration: configuration, appraisedAt: appraisedAt, maxAge: maxAge,
            validUntil: min(validUntil, end))
    }
}
