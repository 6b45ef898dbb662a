internal import Keys
internal import RATS

/// The appraisal of one DCAP quote under one policy: appraisal.md, "Intel DCAP".
struct DCAPAppraisal {
    let evidence: DCAPEvidence
    let now: Int64

    /// Gives the Unix time until which the collateral lets it stand.
    @discardableResult
    func run(_ policy: TDXPolicy) throws(Refusal) -> Int64 {
        let verification = try verify(policy.tcb, policy.platforms, policy.roots)
        guard case .tdx(let report) = verification.quote.body else {
            throw DCAPRefusal.evidence("quote.tee_type", "TEE type", "tdx", "sgx")
        }
        try require(policy.mrTD, report.mrTD, "tdx.mrtd")
        for (index, value) in report.rtmr.enumerated() {
            try require(policy.rtmr[index], value, "tdx.rtmr\(index)")
        }
        try require(policy.mrConfigID, report.mrConfigID, "tdx.mrconfigid")
        try require(policy.mrOwner, report.mrOwner, "tdx.mrowner")
        try require(policy.mrOwnerConfig, report.mrOwnerConfig, "tdx.mrownerconfig")
        let attributes = report.attributes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        // SEPT_VE_DISABLE is required by the rules that no policy can change.
        let others = attributes & ~(1 << 28) & ~policy.allowedAttributes
        guard others == 0 else {
            throw DCAPRefusal.policy(
                "tdx.attributes", "TD_ATTRIBUTES", "the ones that the policy allows",
                Hex.encode(report.attributes), "compare, then change `attributes`")
        }
        return verification.validUntil
    }

    /// Gives the Unix time until which the collateral lets it stand.
    @discardableResult
    func run(_ policy: SGXPolicy) throws(Refusal) -> Int64 {
        let verification = try verify(policy.tcb, policy.platforms, policy.roots)
        guard case .sgx(let report) = verification.quote.body else {
            throw DCAPRefusal.evidence("quote.tee_type", "TEE type", "sgx", "tdx")
        }
        try require(policy.mrEnclave, report.mrEnclave, "sgx.mrenclave")
        try require(policy.mrSigner, report.mrSigner, "sgx.mrsigner")
        let product = [UInt8(report.productID >> 8), UInt8(report.productID & 0xFF)]
        try require(policy.productID, product, "sgx.isvprodid")
        guard report.svn >= policy.minimumSVN else {
            throw DCAPRefusal.policy(
                "sgx.isvsvn", "ISVSVN", "at least \(policy.minimumSVN)", "\(report.svn)",
                "update the enclave")
        }
        return verification.validUntil
    }

    private func verify(
        _ policy: TCBPolicy, _ platforms: ReferenceValue, _ roots: [[UInt8]]
    ) throws(Refusal) -> DCAPVerification {
        guard let collateral = evidence.collateral else {
            throw DCAPRefusal.collateral(
                "collateral.missing", "collateral", "Intel's, for this platform", "none")
        }
        let verification = try DCAPVerification(
            evidence.bytes, collateral: collateral, now: now, roots: roots)
        try DCAPRules.check(verification.quote)
        try check(verification, policy)
        try require(platforms, verification.pck.ppid, "platform")
        return verification
    }

    private func check(
        _ verification: DCAPVerification, _ policy: TCBPolicy
    ) throws(Refusal) {
        guard verification.evaluation >= policy.minimumEvaluation else {
            throw DCAPRefusal.policy(
                "tcb.evaluation", "tcbEvaluationDataNumber",
                "at least \(policy.minimumEvaluation)", "\(verification.evaluation)",
                "fetch newer collateral")
        }
        if policy.accept.contains(verification.status) { return }
        let isTolerated = policy.tolerate.contains { tolerance in
            tolerance.status == verification.status && now < tolerance.until
                && verification.advisories.allSatisfy(tolerance.advisories.contains)
        }
        guard isTolerated else {
            let names = verification.advisories.joined(separator: ", ")
            throw DCAPRefusal.policy(
                "tcb.status", "TCB status",
                policy.accept.map(\.rawValue).joined(separator: ", "),
                verification.status.rawValue + (names.isEmpty ? "" : " (\(names))"),
                "update the platform, or tolerate the advisories for a time")
        }
    }

    private func require(
        _ reference: ReferenceValue, _ value: [UInt8], _ field: String
    ) throws(Refusal) {
        guard reference.accepts(value) else {
            var expected = "one of the policy's"
            if case .oneOf(let values) = reference {
                expected = values.map(Hex.encode).joined(separator: " or ")
            }
            throw DCAPRefusal.policy(
                field, field, expected, Hex.encode(value),
                "other code or another platform runs there; compare, then change the policy")
        }
    }
}
