internal import Keys
internal import RATS

/// One attempt to admit a peer under one part of the policy.
struct PeerAppraisal {
    /// A refusal, and how far the attempt came: of several, the furthest tells the most.
    struct Mismatch: Error {
        let refusal: Refusal
        let step: Int
    }

    let peer: PeerPolicy
    let evidence: [AuthenticEvidence]
    let endorsements: [Endorsement]
    let configuration: JSONValue
    let tier: AttestationResult.Tier
    let now: Int64
    let activations: [Activation]

    /// What an admission rests on.
    struct Admission {
        /// What a TPM has yet to prove of its keys.
        var request: ActivationRequest?
        /// Unix time at which the first piece of collateral expires.
        var validUntil: Int64
    }

    /// Returns if the peer is admitted.
    func run() throws(Mismatch) -> Admission {
        try step(0) { () throws(Refusal) in try checkTier() }
        try step(1) { () throws(Refusal) in try checkFormats() }
        try step(2) { () throws(Refusal) in try checkConfiguration() }
        let validUntil = try step(3) { () throws(Refusal) in try appraiseEnclaves() }
        try step(4) { () throws(Refusal) in try appraiseNVIDIA() }
        let request = try step(5) { () throws(Refusal) in try appraiseTPM() }
        return Admission(request: request, validUntil: validUntil)
    }

    private func appraiseEnclaves() throws(Refusal) -> Int64 {
        var validUntil = Int64.max
        for item in evidence {
            switch item.detail {
            case .dcap(let dcap): validUntil = min(validUntil, try appraise(dcap, item.format))
            case .snp(let snp):
                guard let policy = peer.snp else { throw missing("snp") }
                let end = try SNPAppraisal(policy: policy, evidence: snp, now: now).run()
                validUntil = min(validUntil, end)
            case .nitro(let nitro):
                guard let policy = peer.nitro else { throw missing("nitro") }
                let end = try NitroAppraisal(policy: policy, evidence: nitro, now: now).run()
                validUntil = min(validUntil, end)
            case .cca(let cca):
                guard let policy = peer.cca else { throw missing("cca") }
                try CCAAppraisal(policy: policy, evidence: cca).run()
            case .result(let token):
                guard let policy = peer.result else { throw missing("result") }
                let end = try ResultAppraisal(policy: policy, token: token, now: now).run()
                validUntil = min(validUntil, end)
            case .simulated, .tpm, .nvidia: continue
            }
        }
        return validUntil
    }

    // All of them at once: what they say of each other counts too.
    private func appraiseNVIDIA() throws(Refusal) {
        var devices: [NVIDIAAppraisal.Device] = []
        for item in evidence {
            guard case .nvidia(let nvidia) = item.detail else { continue }
            devices.append(NVIDIAAppraisal.Device(index: item.index, evidence: nvidia))
        }
        if devices.isEmpty { return }
        // A device says nothing of the machine that it is in: any host could forward its answers.
        // Of files, which nothing ties to a machine anyway, nobody concludes that.
        guard devices.count < evidence.count || peer.tier == .none else {
            throw refusal(
                "nvidia.machine.missing", "require", "Evidence of the machine too",
                "of devices only", "write the CPU's or the TPM's format under `require`")
        }
        try NVIDIAAppraisal(
            gpu: peer.nvidiaGPU, nvswitch: peer.nvidiaSwitch, devices: devices,
            endorsements: endorsements, now: now
        ).run()
    }

    private func appraise(
        _ evidence: DCAPEvidence, _ format: EvidenceFormat
    ) throws(Refusal) -> Int64 {
        let appraisal = DCAPAppraisal(evidence: evidence, now: now)
        if format == .tdx {
            guard let policy = peer.tdx else { throw missing("tdx") }
            return try appraisal.run(policy)
        } else {
            guard let policy = peer.sgx else { throw missing("sgx") }
            return try appraisal.run(policy)
        }
    }

    private func appraiseTPM() throws(Refusal) -> ActivationRequest? {
        for item in evidence {
            guard case .tpm(let tpm) = item.detail else { continue }
            guard let policy = peer.tpm else { throw missing("tpm") }
            let appraisal = TPMAppraisal(
                policy: policy,
                evidence: tpm,
                endorsements: endorsements,
                now: now,
                activations: activations
            )
            if let request = try appraisal.run() { return request }
        }
        return nil
    }

    private func missing(_ section: String) -> Refusal {
        refusal(
            "policy.\(section).missing",
            section,
            "a section `\(section)`",
            "none",
            "write what the \(section) Evidence has to show"
        )
    }

    private func step<Value>(
        _ number: Int,
        _ check: () throws(Refusal) -> Value
    ) throws(Mismatch) -> Value {
        do throws(Refusal) {
            return try check()
        } catch {
            throw Mismatch(refusal: error, step: number)
        }
    }

    // Session Evidence is worth more than static; static is never enough where session is asked.
    // Of files it is for whoever names them to say whether they are fresh.
    private func checkTier() throws(Refusal) {
        switch (peer.tier, tier) {
        case (.session, .session), (.session, .none), (.static, _), (.none, .none): return
        case (.session, .static):
            throw refusal(
                "policy.tier.mismatch", "tier", "session: Evidence over this very connection",
                "static: Evidence over a key, wherever that is used",
                "connect through Ratel on both sides, or write `tier: static`")
        case (.none, _):
            throw refusal(
                "policy.tier.mismatch", "tier", "none: Evidence in files", "\(tier.rawValue)",
                "write `tier: session`, and what the machine itself presents")
        }
    }

    // Exactly what is required: Evidence left out and Evidence slipped in are both refused.
    private func checkFormats() throws(Refusal) {
        for format in EvidenceFormat.allCases {
            let wanted = peer.require[format] ?? 0
            let found = evidence.filter { $0.format == format }
            if format == .simulated, !found.isEmpty, !peer.simulated {
                throw refusal(
                    "simulated.refused",
                    "simulated",
                    "hardware Evidence",
                    "a software key",
                    "use a machine with a root of trust; for tests only, `simulated: true`"
                )
            }
            guard found.count == wanted else {
                throw refusal(
                    "evidence.kind.count",
                    "require.\(format.rawValue)",
                    "\(wanted)",
                    "\(found.count)",
                    "have the peer present exactly what `require` lists"
                )
            }
            guard Set(found.map(\.index)).count == found.count else {
                throw refusal(
                    "evidence.index.duplicate",
                    "index",
                    "each index once",
                    "one twice",
                    "update the peer"
                )
            }
        }
        guard !evidence.isEmpty else {
            throw refusal(
                "evidence.kind.count",
                "require",
                "at least one piece of Evidence",
                "none",
                "write what the peer has to present under `require`"
            )
        }
    }

    private func checkConfiguration() throws(Refusal) {
        for constraint in peer.configuration { try constraint.check(configuration) }
    }

    private func refusal(
        _ code: String,
        _ field: String,
        _ expected: String,
        _ got: String,
        _ remedy: String
    ) -> Refusal {
        Refusal(
            code,
            .policy,
            field: "\(peer.name): \(field)",
            expected: expected,
            got: got,
            remedy: remedy
        )
    }
}
