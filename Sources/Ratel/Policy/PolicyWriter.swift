public import Appraisal
internal import Keys
internal import RATS

/// Writes a policy that admits a machine as it is now: trust on first use.
///
/// Every value comes from the machine's own Evidence, whose keys nobody has vouched for: a person
/// compares them with what the machine should be.
public enum PolicyWriter {
    /// YAML for one peer called `name` that presents what `evidence` shows.
    ///
    /// Characters that a name may not have become `-`: an address such as `host:8443` will do.
    /// Devices alone, which are in no machine, become a policy for files.
    public static func yaml(
        name: String, evidence: [AuthenticEvidence], tier: PeerPolicy.Tier = .session
    ) -> String {
        var lines = [
            "# Written from what a machine presented. Compare it with what the machine should be.",
            "version: 1",
            "peers:",
            "  - name: \"\(cleaned(name))\"",
            "    tier: \(evidence.allSatisfy { $0.format.kind == .gpu } ? "none" : tier.rawValue)",
            "    max_age: 300s",
        ]
        let present = EvidenceFormat.allCases.filter { format in
            evidence.contains { $0.format == format }
        }
        let formats = present.map { format in
            "\(format.rawValue): \(evidence.filter { $0.format == format }.count)"
        }.joined(separator: ", ")
        lines.append("    require: {\(formats)}")
        for item in evidence {
            switch item.format {
            case .simulated:
                lines.append("    simulated: true        # a software key: proves nothing")
            case .tpm:
                lines += tpm(item.claims)
            case .tdx: lines += DCAPLines.tdx(item.claims)
            case .sgx: lines += DCAPLines.sgx(item.claims)
            case .snp: lines += snp(item.claims)
            case .nitro: lines += nitro(item.claims)
            case .cca: lines += CCALines.section(item.claims)
            case .nvidiaGPU, .nvidiaSwitch, .result: continue
            }
        }
        // One section for all devices of a kind.
        for format in [EvidenceFormat.nvidiaGPU, .nvidiaSwitch] {
            let devices = evidence.filter { $0.format == format }.map(\.claims)
            if !devices.isEmpty { lines += NVIDIALines.section(devices, format) }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func cleaned(_ name: String) -> String {
        let bytes = name.utf8.prefix(64).map { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."):
                byte
            default: UInt8(ascii: "-")
            }
        }
        return bytes.isEmpty ? "peer" : String(decoding: bytes, as: UTF8.self)
    }

    private static func snp(_ claims: Claims) -> [String] {
        let named = claims["endorsement.product"] ?? claims["product"]
        let product = named?.shown.lowercased() ?? ""
        let name = SNPProduct.allCases.map(\.rawValue).first { product.hasPrefix($0) }
        let shape = name == "turin" ? ["fmc"] : []
        let parts = shape + ["bootloader", "tee", "snp", "microcode"]
        func level(_ tcb: String) -> String {
            let values = parts.map { "\($0): \(claims["\(tcb)_tcb.\($0)"]?.shown ?? "255")" }
            return "{\(values.joined(separator: ", "))}"
        }
        func list(_ name: String) -> String { "      \(name): [\"\(claims[name]?.shown ?? "")\"]" }
        var lines = ["    snp:", "      products:", "        \(name ?? "unknown"):"]
        if name == "milan" {
            lines.append("          # Milan's root seed can be extracted in software.")
        }
        for tcb in ["current", "committed", "reported", "launch"] {
            lines.append("          \(tcb): \(level(tcb))")
        }
        lines += ["measurement", "host_data", "id_key_digest", "author_key_digest"].map(list)
        lines.append("      chip_id: any           # this one: \(claims["chip_id"]?.shown ?? "")")
        lines.append("      guest_svn: {at_least: \(claims["guest_svn"]?.shown ?? "")}")
        lines.append("      vmpl: [\(claims["vmpl"]?.shown ?? "")]")
        lines.append("      abi: any")
        func hard(_ name: String, _ claim: String) -> String {
            "        \(name): \(claims[claim] == .flag(true) ? "required" : "any")"
        }
        func weak(_ name: String, _ claim: String) -> String {
            "        \(name): \(claims[claim] == .flag(false) ? "refused" : "any")"
        }
        lines += [
            "      features:", weak("smt", "policy_smt"), weak("cxl", "policy_cxl_allow"),
            hard("single_socket", "policy_single_socket"),
            hard("aes_xts", "policy_mem_aes_256_xts"), hard("rapl_disabled", "policy_rapl_dis"),
            hard("ciphertext_hiding", "policy_ciphertext_hiding_dram"),
            hard("page_swap_disabled", "policy_page_swap_disable"),
            hard("alias_check", "alias_check_complete"),
        ]
        // The peer chose the name so far: one that would end the quotes is not written.
        let provider = claims["endorsement.csp_id"].flatMap { claim in
            claim.shown.contains { "\"\\".contains($0) } ? nil : "[\"\(claim.shown)\"]"
        }
        lines.append("      vlek: \(provider ?? "refused")")
        lines.append("      revocation: required")
        lines.append("      provisional_firmware: refused")
        return lines
    }

    private static func nitro(_ claims: Claims) -> [String] {
        var lines = ["    nitro:", "      pcrs:"]
        for index in NitroPolicy.requiredRegisters {
            lines.append("        \(index): [\"\(claims["pcrs.\(index)"]?.shown ?? "")\"]")
        }
        lines.append("      max_skew: 60s")
        return lines
    }

    private static func tpm(_ claims: Claims) -> [String] {
        var lines = ["    tpm:"]
        if claims["ak.name"] != nil || claims["hcl.report_type"] == nil {
            let name = claims["ak.name"]?.shown
            let note = name == nil ? "  # its Name: not among these files" : ""
            lines.append("      ak: [\"\(name ?? "")\"]\(note)")
        } else {
            // What vouches for the key of a machine whose key has no Name here.
            let isSNP = claims["hcl.report_type"] == .text("snp")
            let hardware =
                isSNP
                ? snp(claims.all(under: "snp")) : DCAPLines.tdx(claims.all(under: "tdx"))
            lines.append("      hcl:")
            lines += hardware.map { "    " + $0 }
        }
        lines.append("      pcrs:")
        lines.append("        bank: \(claims["pcr.bank"]?.shown ?? "")")
        lines.append("        values:")
        for claim in claims.entries where claim.name.hasPrefix("pcr.") {
            guard let index = Int(claim.name.dropFirst(4)) else { continue }
            lines.append("          \(index): [\"\(claim.value.shown)\"]")
        }
        lines.append(
            "      reset_count: any       # this boot: \(claims["reset_count"]?.shown ?? "")"
        )
        lines.append(
            "      restart_count: any     # this boot: \(claims["restart_count"]?.shown ?? "")"
        )
        let version = (claims["firmware_version"]?.shown ?? "").dropFirst(2)
        let padded = String(repeating: "0", count: max(0, 16 - version.count)) + version
        lines.append("      firmware: {at_least: \"\(padded)\"}")
        let clock = claims["safe"] == .flag(true) ? "safe" : "not safe, it lost power"
        lines.append("      clock: any             # this boot: \(clock)")
        lines.append("      event_log: any")
        return lines
    }
}
