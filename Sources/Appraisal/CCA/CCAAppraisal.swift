internal import Keys
internal import RATS

/// The appraisal of one authentic CCA token under one policy: appraisal.md, "Arm CCA".
struct CCAAppraisal {
    let policy: CCAPolicy
    let evidence: CCAEvidence

    private var platform: CCAPlatform { evidence.token.platform }
    private var realm: CCARealm { evidence.token.realm }

    /// Returns if everything holds.
    func run() throws(Refusal) {
        let key = Digest.sha256(evidence.platformKey.spki)
        guard policy.platformKeys.contains(key) else {
            throw CCAEvidence.refusal(
                "cca.cpak.unknown", .policy, "platform attestation key",
                policy.platformKeys.isEmpty
                    ? "nothing" : policy.platformKeys.map(Hex.encode).joined(separator: " or "),
                Hex.encode(key), "another machine; if that is right, add it to `cpak`")
        }
        try check("implementation_id", platform.implementationID, policy.implementationID)
        try check("instance_id", platform.instanceID, policy.instanceID)
        try checkSoftware()
        try check("rim", realm.initial, policy.initial)
        for (index, value) in realm.extensible.enumerated() {
            let reference = index < policy.extensible.count ? policy.extensible[index] : .oneOf([])
            try check("rem", "rem \(index)", value, reference)
        }
        try check("rpv", realm.personalization, policy.personalization)
    }

    private func checkSoftware() throws(Refusal) {
        guard case .oneOf(let known) = policy.software else { return }
        for component in platform.components {
            let found = CCAPolicy.Component(
                signer: component.signer, measurement: component.measurement)
            guard known.contains(found) else {
                throw CCAEvidence.refusal(
                    "cca.software", .policy, "software component \(component.type ?? "unnamed")",
                    "one that the policy lists",
                    "\(Hex.encode(found.measurement)) signed by \(Hex.encode(found.signer))",
                    "other firmware; if that is right, add it to `software`")
            }
        }
    }

    private func check(
        _ name: String, _ value: [UInt8], _ reference: ReferenceValue
    ) throws(Refusal) {
        try check(name, name, value, reference)
    }

    private func check(
        _ name: String, _ field: String, _ value: [UInt8], _ reference: ReferenceValue
    ) throws(Refusal) {
        guard !reference.accepts(value) else { return }
        var expected = "any"
        if case .oneOf(let values) = reference {
            expected = values.isEmpty ? "nothing" : values.map(Hex.encode).joined(separator: " or ")
        }
        throw CCAEvidence.refusal(
            "cca.\(name)", .policy, field, expected, Hex.encode(value),
            "another realm or machine; if that is right, change `\(name)`")
    }
}
