internal import Keys
internal import RATS

/// The appraisal of one authentic SEV-SNP report under one policy: appraisal.md, "AMD SEV-SNP".
struct SNPAppraisal {
    let policy: SNPPolicy
    let evidence: SNPEvidence
    let now: Int64

    private var report: SNPReport { evidence.report }

    /// Gives, if everything holds, the Unix time until which certificates and list let it stand.
    @discardableResult
    func run() throws(Refusal) -> Int64 {
        let product = try checkAuthenticity()
        try checkTCB(product)
        try checkFeatures()
        try checkIdentity()
        let lists = evidence.revocationLists.compactMap { try? RevocationList.read($0).nextUpdate }
        // Of several lists the newest counts; others may be of other products.
        return min(evidence.key.notAfter, lists.max() ?? .max)
    }

    /// What holds whatever the policy wants of the guest: chain, revocation, nothing unacceptable.
    @discardableResult
    func checkAuthenticity() throws(Refusal) -> SNPProduct {
        let product = try SNPChain(policy: policy, evidence: evidence, now: now).check()
        try checkUnacceptable()
        return product
    }

    // What no policy can allow: the host could read the guest, or move it to where it can.
    private func checkUnacceptable() throws(Refusal) {
        guard !report.allows(19) else {
            throw refusal(
                "snp.debug", "POLICY DEBUG", "0", "1", "launch the guest without debugging")
        }
        guard !report.allows(18) else {
            throw refusal(
                "snp.migrate_ma", "POLICY MIGRATE_MA", "0", "1",
                "launch the guest without a migration agent")
        }
    }

    private func checkTCB(_ product: SNPProduct) throws(Refusal) {
        guard let floors = policy.products[product] else {
            let names = SNPProduct.allCases.filter { policy.products[$0] != nil }
            throw refusal(
                "snp.product.refused",
                "product",
                names.isEmpty ? "nothing" : names.map(\.rawValue).joined(separator: " or "),
                product.rawValue,
                product == .milan
                    ? "Milan's root seed can be extracted in software; use another machine"
                    : "write the product under `products` if it is good"
            )
        }
        try check("current", report.currentTCB, floors.current, product)
        try check("committed", report.committedTCB, floors.committed, product)
        try check("reported", report.reportedTCB, floors.reported, product)
        try check("launch", report.launchTCB, floors.launch, product)
        let isCommitted =
            report.currentTCB == report.committedTCB
            && report.currentVersion == report.committedVersion
        guard isCommitted || policy.allowsProvisionalFirmware else {
            throw refusal(
                "snp.firmware.provisional",
                "COMMITTED_TCB and version",
                show(report.currentTCB, report.currentVersion),
                show(report.committedTCB, report.committedVersion),
                "have the host commit its firmware (SNP_COMMIT)"
            )
        }
    }

    private func show(_ tcb: [UInt8], _ version: [UInt8]) -> String {
        "\(Hex.encode(tcb)) at \(version.map { "\($0)" }.joined(separator: "."))"
    }

    private func check(
        _ name: String,
        _ raw: [UInt8],
        _ floor: SNPPolicy.Floor,
        _ product: SNPProduct
    ) throws(Refusal) {
        let field = "\(name.uppercased())_TCB"
        guard let tcb = SNPTCB(raw, product: product) else {
            throw refusal(
                "snp.tcb.malformed", field, "reserved bytes of zero", Hex.encode(raw),
                "update this side")
        }
        guard case .atLeast(let least) = floor, let short = tcb.shortfall(below: least) else {
            return
        }
        throw refusal(
            "snp.tcb.\(name)",
            "\(field) \(short.name)",
            short.expected,
            short.got,
            "update the host's firmware, then launch the guest again"
        )
    }

    private func checkFeatures() throws(Refusal) {
        let features = policy.features
        let weak = [("smt", 16, features.smt), ("cxl", 21, features.cxl)]
        for (name, place, wanted) in weak where wanted == .refused && report.allows(UInt64(place)) {
            throw refusal(
                "snp.policy.\(name)", "POLICY bit \(place) (\(name))", "0", "1",
                "launch the guest with a stricter policy")
        }
        let hard = [
            ("single_socket", 20, features.singleSocket), ("aes_xts", 22, features.aesXTS),
            ("rapl_disabled", 23, features.raplDisabled),
            ("ciphertext_hiding", 24, features.ciphertextHiding),
            ("page_swap_disabled", 25, features.pageSwapDisabled),
        ]
        for (name, place, wanted) in hard
        where wanted == .required && !report.allows(UInt64(place)) {
            throw refusal(
                "snp.policy.\(name)", "POLICY bit \(place) (\(name))", "1", "0",
                "launch the guest with a stricter policy")
        }
        let abi = UInt32(truncatingIfNeeded: report.policy & 0xFFFF)
        if case .atLeast(let least) = policy.abi, abi < least {
            throw refusal(
                "snp.policy.abi", "POLICY ABI", "at least \(least >> 8).\(least & 0xFF)",
                "\(abi >> 8).\(abi & 0xFF)", "launch the guest with a stricter policy")
        }
        guard features.aliasCheck == .any || report.platformInfo >> 5 & 1 == 1 else {
            throw refusal(
                "snp.alias_check", "PLATFORM_INFO ALIAS_CHECK_COMPLETE", "1", "0",
                "update the host's firmware (CVE-2024-21944)")
        }
    }

    private func checkIdentity() throws(Refusal) {
        let identity = policy.identity
        guard identity.vmpl.contains(report.vmpl) else {
            throw refusal(
                "snp.vmpl", "VMPL", "\(identity.vmpl)", "\(report.vmpl)",
                "ask at the privilege level that the policy names")
        }
        try check("measurement", report.measurement, identity.measurement)
        try check("host_data", report.hostData, identity.hostData)
        try check("id_key_digest", report.idKeyDigest, identity.idKeyDigest)
        try check("author_key_digest", report.authorKeyDigest, identity.authorKeyDigest)
        try check("chip_id", report.chipID, identity.chipID)
        if case .atLeast(let least) = identity.guestSVN, report.guestSVN < least {
            throw refusal(
                "snp.guest_svn", "GUEST_SVN", "at least \(least)", "\(report.guestSVN)",
                "launch a newer guest")
        }
    }

    private func check(
        _ name: String,
        _ value: [UInt8],
        _ reference: ReferenceValue
    ) throws(Refusal) {
        guard !reference.accepts(value) else { return }
        var expected = "any"
        if case .oneOf(let values) = reference {
            expected = values.isEmpty ? "nothing" : values.map(Hex.encode).joined(separator: " or ")
        }
        throw refusal(
            "snp.\(name)", name.uppercased(), expected, Hex.encode(value),
            "another guest or machine; if that is right, change `\(name)`")
    }

    private func refusal(
        _ code: String,
        _ field: String,
        _ expected: String,
        _ got: String,
        _ remedy: String
    ) -> Refusal {
        SNPEvidence.refusal(code, .policy, field, expected, got, remedy)
    }
}
