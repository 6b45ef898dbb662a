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
    public static func yaml(name: String, evidence: [AuthenticEvidence]) -> String {
        var lines = [
            "# Written from what a machine presented. Compare it with what the machine should be.",
            "version: 1",
            "peers:",
            "  - name: \"\(cleaned(name))\"",
            "    tier: session",
            "    max_age: 300s",
        ]
        let formats = evidence.map { "\($0.format.rawValue): 1" }.joined(separator: ", ")
        lines.append("    require: {\(formats)}")
        for item in evidence {
            switch item.format {
            case .simulated:
                lines.append("    simulated: true        # a software key: proves nothing")
            case .tpm:
                lines += tpm(item.claims)
            case .tdx, .sgx, .snp, .nitro:
                break
            }
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

    private static func tpm(_ claims: Claims) -> [String] {
        var lines = ["    tpm:"]
        lines.append("      ak: [\"\(claims["ak.name"]?.shown ?? "")\"]")
        lines.append("      pcrs:")
        lines.append("        bank: \(claims["pcr.bank"]?.shown ?? "")")
        lines.append("        values:")
        for claim in claims.entries where claim.name.hasPrefix("pcr.") {
            guard let index = Int(claim.name.dropFirst(4)) else { continue }
            lines.append("          \(index): [\"\(claim.value.shown)\"]")
        }
        lines.append(
            "      reset_count: any       # this boot: \(claims["resetCount"]?.shown ?? "")"
        )
        lines.append(
            "      restart_count: any     # this boot: \(claims["restartCount"]?.shown ?? "")"
        )
        lines.append("      firmware: {at_least: \"\(claims["firmwareVersion"]?.shown ?? "")\"}")
        let clock = claims["safe"] == .flag(true) ? "safe" : "not safe, it lost power"
        lines.append("      clock: any             # this boot: \(clock)")
        lines.append("      event_log: any")
        return lines
    }
}
