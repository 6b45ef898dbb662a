internal import Keys
internal import RATS

/// The appraisal of another Verifier's Attestation Result under one policy: appraisal.md,
/// "Attestation results from elsewhere".
struct ResultAppraisal {
    let policy: ResultPolicy
    let token: ResultToken
    let now: Int64

    /// Returns until when the token is good, if everything holds.
    func run() throws(Refusal) -> Int64 {
        try token.check(policy.keys, now: now)
        let claims = token.main.claims
        try check("issuer", "iss", policy.issuer, [claims["iss"]])
        try check("audience", "aud", policy.audience, claims["aud"]?.items ?? [claims["aud"]])
        guard let issued = ResultToken.time("iat", claims) else {
            throw ResultToken.refusal(
                "result.time.missing", .evidence, "iat", "a time of issue", "none")
        }
        let end = min(
            issued + Int64(policy.maxAge), ResultToken.time("exp", claims) ?? .max)
        guard now < end else {
            throw ResultToken.refusal(
                "result.age", .policy, "iat", "less than \(policy.maxAge) s ago",
                UTCTime.text(issued), "ask the Verifier for another, or change `max_age`")
        }
        let document = token.document
        for constraint in policy.claims { try check(constraint, document) }
        return end
    }

    private func check(
        _ name: String, _ claim: String, _ names: ResultPolicy.Names, _ found: [JSONValue?]
    ) throws(Refusal) {
        guard case .oneOf(let allowed) = names else { return }
        guard found.contains(where: { $0?.text.map(allowed.contains) ?? false }) else {
            throw ResultToken.refusal(
                "result.\(name)", .policy, claim,
                allowed.isEmpty ? "nothing" : allowed.joined(separator: " or "),
                found.compactMap { $0?.serialised() }.joined(separator: ", "),
                "another Verifier or relying party is meant; if it is right, change `\(name)`")
        }
    }

    private func check(
        _ constraint: ResultPolicy.Constraint, _ document: JSONValue
    ) throws(Refusal) {
        var value: JSONValue? = document
        for name in constraint.path { value = value?[name] }
        if let value, constraint.allowed.contains(value) { return }
        throw ResultToken.refusal(
            "result.claim", .policy, constraint.path.joined(separator: "."),
            constraint.allowed.map { $0.serialised() }.joined(separator: " or "),
            value?.serialised() ?? "nothing",
            "the Verifier says otherwise; if that is right, change `claims`")
    }
}
