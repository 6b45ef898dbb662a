public import Appraisal
internal import Keys
internal import RATS

/// A policy in plain words, for a person to check before trusting it.
public enum PolicyExplanation {
    /// Several lines, ending in a line break.
    public static func text(_ policy: AppraisalPolicy) -> String {
        var lines = ["policy \(Hex.encode(policy.digest)) (SHA-384)"]
        if policy.mode == .observe {
            lines.append("OBSERVING: refusals are logged; peers that fail are not attested ones")
        }
        switch policy.peers {
        case .anonymous:
            lines.append("ANYONE is admitted, and nothing is asked")
        case .appraised(let peers):
            if peers.isEmpty { lines.append("nobody is admitted") }
            for peer in peers { lines += explain(peer) }
            if !peers.isEmpty { lines.append("whoever matches none of these is refused") }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func explain(_ peer: PeerPolicy) -> [String] {
        var lines = ["\(peer.name):"]
        let formats = peer.require.sorted { $0.key.rawValue < $1.key.rawValue }
        let counts = formats.map { "\($0.value) × \($0.key.rawValue)" }.joined(separator: ", ")
        let tie =
            switch peer.tier {
            case .session: "bound to the connection"
            case .static:
                "bound to a certificate's key at least: a stolen key passes for the machine"
            case .none: "in files: no connection is ever admitted by this"
            }
        lines.append("  presents exactly \(counts), \(tie)")
        lines.append("  is good for \(peer.maxAge) s")
        if peer.simulated {
            lines.append("  MAY BE SIMULATED: a software key is accepted, which proves nothing")
        }
        if let tpm = peer.tpm { lines += explain(tpm) }
        if let tdx = peer.tdx { lines += DCAPLines.explain(tdx) }
        if let sgx = peer.sgx { lines += DCAPLines.explain(sgx) }
        if let snp = peer.snp { lines += explain(snp) }
        if let nitro = peer.nitro { lines += explain(nitro) }
        if let cca = peer.cca { lines += CCALines.explain(cca) }
        if let gpu = peer.nvidiaGPU { lines += NVIDIALines.explain(gpu) }
        if let nvswitch = peer.nvidiaSwitch { lines += NVIDIALines.explain(nvswitch: nvswitch) }
        if let result = peer.result { lines += ResultLines.explain(result) }
        for constraint in peer.configuration {
            let values = constraint.allowed.map { $0.serialised() }.joined(separator: " or ")
            lines.append("  configuration: \(constraint.path.joined(separator: ".")) is \(values)")
        }
        return lines
    }

    private static func explain(_ tpm: TPMPolicy) -> [String] {
        var lines: [String] = []
        switch tpm.key {
        case .pinned(let names):
            lines.append("  its TPM's attestation key has one of \(names.count) Names:")
            lines += names.map { "    \(Hex.encode($0))" }
        case .endorsed(let roots, let keys):
            lines.append("  its TPM proves an endorsement key certified by one of:")
            lines += roots.map {
                "    \($0.subject) (SHA-256 \(Hex.encode(Digest.sha256($0.der))))"
            }
            lines.append("  and that key is \(show(keys))")
        case .certified(let roots):
            lines.append("  its TPM's attestation key is certified, under one of:")
            lines += roots.map {
                "    \($0.subject) (SHA-256 \(Hex.encode(Digest.sha256($0.der))))"
            }
        case .underSNP(let snp):
            lines.append("  the hardware under its virtual TPM vouches for the attestation key:")
            lines += explain(snp).map { "  " + $0 }
        case .underTDX(let tdx):
            lines.append("  the hardware under its virtual TPM vouches for the attestation key:")
            lines += DCAPLines.explain(tdx).map { "  " + $0 }
        }
        lines.append("  these \(tpm.bank.rawValue) registers are quoted, and no others:")
        for (index, value) in tpm.pcrs.sorted(by: { $0.key < $1.key }) {
            lines.append("    PCR \(index): \(show(value))")
        }
        lines.append("  resets: \(show(tpm.resetCount)); restarts: \(show(tpm.restartCount))")
        switch tpm.firmware {
        case .any: lines.append("  firmware: any")
        case .atLeast(let version):
            lines.append("  firmware: at least \(String(version, radix: 16))")
        }
        lines.append("  clock: \(tpm.allowsUnsafeClock ? "any" : "safe")")
        lines.append("  event log: \(tpm.eventLog.rawValue)")
        return lines
    }

    private static func explain(_ snp: SNPPolicy) -> [String] {
        var lines = ["  its SEV-SNP report is signed by AMD's key for one of these products:"]
        for product in SNPProduct.allCases {
            guard let floors = snp.products[product] else { continue }
            lines.append("    \(product.rawValue)")
            let levels = [
                ("current", floors.current), ("committed", floors.committed),
                ("reported", floors.reported), ("launch", floors.launch),
            ]
            lines += levels.map { "      \($0) TCB: \(show($1))" }
        }
        let identity = snp.identity
        let values = [
            ("measurement", identity.measurement), ("host data", identity.hostData),
            ("ID key digest", identity.idKeyDigest),
            ("author key digest", identity.authorKeyDigest), ("chip", identity.chipID),
        ]
        lines += values.map { "  \($0): \(show($1))" }
        let levels = identity.vmpl.map { "\($0)" }.joined(separator: " or ")
        lines.append("  asked at VMPL \(levels.isEmpty ? "none" : levels)")
        switch identity.guestSVN {
        case .any: lines.append("  guest SVN: any")
        case .atLeast(let least): lines.append("  guest SVN: at least \(least)")
        }
        switch snp.abi {
        case .any: lines.append("  firmware ABI: any")
        case .atLeast(let least):
            lines.append("  firmware ABI: at least \(least >> 8).\(least & 0xFF)")
        }
        lines += explain(snp.features)
        switch snp.loadedKey {
        case .refused: lines.append("  keys of cloud providers (VLEK): refused")
        case .any: lines.append("  keys of cloud providers (VLEK): any")
        case .oneOf(let names):
            lines.append("  keys of cloud providers (VLEK): \(names.joined(separator: " or "))")
        }
        lines.append(
            "  revocation list: \(snp.revocation == .any ? "if there is one" : "required")")
        let provisional = snp.allowsProvisionalFirmware ? "any" : "refused"
        lines.append("  firmware that can be rolled back: \(provisional)")
        lines.append("  debugging and migration agents are refused")
        if snp.roots != SNPRoots.amd {
            let roots = SNPProduct.allCases.flatMap { snp.roots[$0] ?? [] }
            lines += replaced("AMD's roots", roots)
        }
        return lines
    }

    private static func explain(_ features: SNPPolicy.Features) -> [String] {
        [
            "  multithreading: \(features.smt.rawValue); CXL: \(features.cxl.rawValue)",
            "  single socket: \(features.singleSocket.rawValue)",
            "  AES-256-XTS: \(features.aesXTS.rawValue)",
            "  power reporting off: \(features.raplDisabled.rawValue)",
            "  ciphertext hiding: \(features.ciphertextHiding.rawValue)",
            "  page swapping off: \(features.pageSwapDisabled.rawValue)",
            "  check for aliased memory: \(features.aliasCheck.rawValue)",
        ]
    }

    private static func explain(_ nitro: NitroPolicy) -> [String] {
        var lines = ["  its Nitro document comes from AWS and shows these registers:"]
        for (index, value) in nitro.pcrs.sorted(by: { $0.key < $1.key }) {
            lines.append("    PCR \(index): \(show(value))")
        }
        lines.append("  made within \(nitro.maxSkew) s; enclaves in debug mode are refused")
        if nitro.roots != [NitroPolicy.awsRoot] { lines += replaced("AWS's root", nitro.roots) }
        return lines
    }

    /// The loud lines about roots that a policy trusts in place of a vendor's.
    static func replaced(_ whose: String, _ roots: [[UInt8]]) -> [String] {
        ["  \(whose.uppercased()) NOT USED: whoever has one of these keys can make such Evidence:"]
            + roots.map { "    SHA-256 \(Hex.encode($0))" }
    }

    private static func show(_ floor: SNPPolicy.Floor) -> String {
        switch floor {
        case .any: return "any"
        case .atLeast(let tcb):
            let fmc = tcb.fmc.map { "fmc \($0), " } ?? ""
            return "at least \(fmc)bootloader \(tcb.bootloader), tee \(tcb.tee), "
                + "snp \(tcb.snp), microcode \(tcb.microcode)"
        }
    }

    private static func show(_ value: ReferenceValue) -> String {
        switch value {
        case .any: "any"
        case .oneOf(let values):
            values.isEmpty ? "nothing" : values.map(Hex.encode).joined(separator: " or ")
        }
    }

    private static func show(_ count: TPMPolicy.Count) -> String {
        switch count {
        case .any: "any"
        case .oneOf(let values): values.map { "\($0)" }.joined(separator: " or ")
        }
    }
}
