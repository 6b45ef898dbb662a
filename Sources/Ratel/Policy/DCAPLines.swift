internal import Appraisal
internal import Keys
internal import RATS

/// The sections `tdx` and `sgx` in words, and as YAML from what a machine presented.
enum DCAPLines {
    static func tdx(_ claims: Claims) -> [String] {
        func list(_ name: String) -> String { "[\"\(claims[name]?.shown ?? "")\"]" }
        let registers = (0..<4).map { "\($0): \(list("rtmr\($0)"))" }.joined(separator: ", ")
        return [
            "    tdx:", "      mrtd: \(list("mrtd"))", "      rtmr: {\(registers)}",
            "      mrconfigid: \(list("mrconfigid"))", "      mrowner: \(list("mrowner"))",
            "      mrownerconfig: \(list("mrownerconfig"))",
            "      attributes: [\(attributes(claims).joined(separator: ", "))]",
        ] + tcb
    }

    static func sgx(_ claims: Claims) -> [String] {
        func list(_ name: String) -> String { "[\"\(claims[name]?.shown ?? "")\"]" }
        let product = claims["isvprodid"]?.shown.prefix(5).description ?? "0"
        let number = UInt16(product) ?? 0
        let bytes = Hex.encode([UInt8(number >> 8), UInt8(number & 0xFF)])
        return [
            "    sgx:", "      mrenclave: \(list("mrenclave"))",
            "      mrsigner: \(list("mrsigner"))", "      isvprodid: [\"\(bytes)\"]",
            "      min_isvsvn: \(claims["isvsvn"]?.shown ?? "")",
        ] + tcb
    }

    /// The attributes that are set, of those that a policy can allow.
    private static func attributes(_ claims: Claims) -> [String] {
        guard case .bytes(let bytes)? = claims["td_attributes"] else { return [] }
        let bits = bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return TDXPolicy.attributeNames.filter { bits & $0.bit != 0 }.map(\.name)
    }

    /// The strictest that an honest platform can meet: a person loosens it, with a date.
    private static let tcb = [
        "      tcb: {accept: [UpToDate], min_evaluation: 0}", "      platforms: any",
    ]

    static func explain(_ policy: TDXPolicy) -> [String] {
        var lines = ["  its trust domain's MRTD is \(show(policy.mrTD))"]
        for (index, value) in policy.rtmr.enumerated() {
            lines.append("    RTMR\(index): \(show(value))")
        }
        lines.append("    MRCONFIGID: \(show(policy.mrConfigID))")
        lines.append("    MROWNER: \(show(policy.mrOwner))")
        lines.append("    MROWNERCONFIG: \(show(policy.mrOwnerConfig))")
        let allowed = TDXPolicy.attributeNames.filter { policy.allowedAttributes & $0.bit != 0 }
        lines.append(
            "  attributes beside SEPT_VE_DISABLE: "
                + (allowed.isEmpty ? "none" : allowed.map(\.name).joined(separator: ", ")))
        return lines + explain(policy.tcb, policy.platforms) + roots(policy.roots)
    }

    static func explain(_ policy: SGXPolicy) -> [String] {
        [
            "  its enclave's MRENCLAVE is \(show(policy.mrEnclave))",
            "    MRSIGNER: \(show(policy.mrSigner))", "    ISVPRODID: \(show(policy.productID))",
            "    ISVSVN: at least \(policy.minimumSVN)",
        ] + explain(policy.tcb, policy.platforms) + roots(policy.roots)
    }

    private static func explain(_ tcb: TCBPolicy, _ platforms: ReferenceValue) -> [String] {
        var lines = [
            "  Intel calls the platform "
                + (tcb.accept.isEmpty
                    ? "nothing that is accepted"
                    : tcb.accept.map(\.rawValue).joined(separator: " or ")),
            "  by an evaluation of at least \(tcb.minimumEvaluation)",
        ]
        for item in tcb.tolerate {
            let names = item.advisories.joined(separator: ", ")
            lines.append(
                "  until Unix time \(item.until) also \(item.status.rawValue), for \(names)")
        }
        lines.append("  on the platform (PPID) \(show(platforms))")
        return lines
    }

    private static func roots(_ roots: [[UInt8]]) -> [String] {
        roots == DCAPRoots.intel ? [] : PolicyExplanation.replaced("Intel's root", roots)
    }

    private static func show(_ value: ReferenceValue) -> String {
        switch value {
        case .any: "any"
        case .oneOf(let values):
            values.isEmpty ? "nothing" : values.map(Hex.encode).joined(separator: " or ")
        }
    }
}
