internal import Appraisal
internal import Keys
internal import RATS
internal import Yams

/// The section `tpm` of a peer in a policy.
///
/// ```yaml
/// tpm:
///   ak: ["000b…"]                  # Names of attestation keys, or instead of it:
///   # ek_roots: [roots.pem]        # endorsement certificates lead to one of these
///   # ek_keys: any                 # or SHA-256 of the endorsement keys' SPKI
///   # ak_roots: [azure.pem]        # the cloud's certificate of the key leads to one of these
///   # hcl: {snp: {…}}              # or {tdx: {…}}: the hardware under an Azure vTPM
///   pcrs: {bank: sha256, values: {0: ["…"], 7: any}}
///   reset_count: any               # or a list
///   restart_count: any
///   firmware: any                  # or {at_least: "16 hex digits"}
///   clock: safe                    # or any
///   event_log: any                 # or replayed
/// ```
struct TPMSection {
    let node: PolicyNode

    private enum Clock: String, CaseIterable { case safe, any }

    func policy(_ files: inout CertificateFiles) throws(Refusal) -> TPMPolicy {
        let fields = try node.fields(
            required: ["pcrs", "reset_count", "restart_count", "firmware", "clock", "event_log"],
            optional: ["ak", "ek_roots", "ek_keys", "ak_roots", "hcl"]
        )
        let key = try keyTrust(fields, &files)
        let (bank, pcrs) = try registers(fields["pcrs"])
        return TPMPolicy(
            key: key,
            bank: bank,
            pcrs: pcrs,
            resetCount: try count(fields["reset_count"]),
            restartCount: try count(fields["restart_count"]),
            firmware: try firmware(fields["firmware"]),
            allowsUnsafeClock: try fields["clock"]?.word(Clock.self) == .any,
            eventLog: try fields["event_log"]?.word(TPMPolicy.EventLog.self) ?? .replayed
        )
    }

    private func keyTrust(
        _ fields: [String: PolicyNode], _ files: inout CertificateFiles
    ) throws(Refusal) -> TPMPolicy.KeyTrust {
        let ways = ["ak", "ek_roots", "ak_roots", "hcl"].filter { fields[$0] != nil }
        guard ways.count == 1, (fields["ek_roots"] == nil) == (fields["ek_keys"] == nil) else {
            throw node.refusal(
                "policy.tpm.key",
                expected: "one of `ak`, `ek_roots` with `ek_keys`, `ak_roots`, `hcl`",
                got: ways.isEmpty ? "none" : ways.joined(separator: " and "),
                remedy: "pin attestation keys, or name what vouches for them"
            )
        }
        if let ak = fields["ak"] {
            var names: [[UInt8]] = []
            for item in try ak.items() { names.append(try item.bytes([34, 50, 66])) }
            return .pinned(names)
        }
        if let roots = fields["ek_roots"], let keys = fields["ek_keys"] {
            return .endorsed(roots: try files.certificates(roots), keys: try keys.reference([32]))
        }
        if let roots = fields["ak_roots"] {
            return .certified(roots: try files.certificates(roots))
        }
        return try hardware(fields["hcl"] ?? node, &files)
    }

    private func hardware(
        _ node: PolicyNode, _ files: inout CertificateFiles
    ) throws(Refusal) -> TPMPolicy.KeyTrust {
        let fields = try node.fields(required: [], optional: ["snp", "tdx"])
        switch (fields["snp"], fields["tdx"]) {
        case (let snp?, nil): return .underSNP(try SNPSection(node: snp).policy(&files))
        case (nil, let tdx?): return .underTDX(try DCAPSection(node: tdx).tdx(&files))
        default: throw node.wrongType("either `snp` or `tdx`")
        }
    }

    private func registers(
        _ node: PolicyNode?
    ) throws(Refusal) -> (PCRBank, [Int: ReferenceValue]) {
        guard let node else { return (.sha256, [:]) }
        let fields = try node.fields(required: ["bank", "values"])
        let bank = try fields["bank"]?.word(PCRBank.self) ?? .sha256
        var values: [Int: ReferenceValue] = [:]
        for (name, value) in try fields["values"]?.entries() ?? [] {
            // 24 registers: TCG PC Client Platform TPM Profile, section 4.7.
            guard let index = Int(name), (0..<24).contains(index), "\(index)" == name else {
                throw value.refusal("policy.value.refused", expected: "0 to 23", got: name)
            }
            values[index] = try value.reference([bank.digest.size])
        }
        guard !values.isEmpty else {
            throw node.refusal(
                "policy.tpm.pcrs",
                expected: "at least one register",
                got: "none",
                remedy: "list the registers that matter; what they hold may be `any`"
            )
        }
        return (bank, values)
    }

    private func count(_ node: PolicyNode?) throws(Refusal) -> TPMPolicy.Count {
        guard let node else { return .oneOf([]) }
        if node.isAny { return .any }
        let range: ClosedRange<UInt64> = 0...UInt64(UInt32.max)
        if node.node.scalar != nil { return .oneOf([UInt32(try node.integer(range))]) }
        var values: [UInt32] = []
        for item in try node.items() { values.append(UInt32(try item.integer(range))) }
        return .oneOf(values)
    }

    private func firmware(_ node: PolicyNode?) throws(Refusal) -> TPMPolicy.Firmware {
        guard let node else { return .atLeast(.max) }
        if node.isAny { return .any }
        let bytes = try node.fields(required: ["at_least"])["at_least"]?.bytes([8]) ?? []
        return .atLeast(bytes.reduce(0) { $0 << 8 | UInt64($1) })
    }
}
