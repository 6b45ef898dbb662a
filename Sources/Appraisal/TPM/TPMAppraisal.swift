internal import Keys
internal import RATS

/// The appraisal of one authentic TPM quote under one policy: appraisal.md, "TPM 2.0 and vTPM".
struct TPMAppraisal {
    let policy: TPMPolicy
    let evidence: TPMEvidence
    let endorsements: [Endorsement]
    let now: Int64
    let activations: [Activation]

    /// Returns if everything holds, with a request if the TPM has yet to prove its keys.
    func run() throws(Refusal) -> ActivationRequest? {
        let request = try checkKey()
        try checkSelection()
        try checkValues()
        try checkState()
        try checkEventLog()
        return request
    }

    /// Why the attestation key is believed.
    private func checkKey() throws(Refusal) -> ActivationRequest? {
        switch policy.key {
        case .pinned(let names):
            guard !evidence.key.name.isEmpty else {
                throw refusal(
                    "tpm.ak.area.missing",
                    "Name of the attestation key",
                    names.map(Hex.encode).joined(separator: " or "),
                    "a key without its TPMT_PUBLIC",
                    "put ak.tpmt-public.bin beside the quote"
                )
            }
            guard names.contains(evidence.key.name) else {
                throw refusal(
                    "tpm.ak.name",
                    "Name of the attestation key",
                    names.map(Hex.encode).joined(separator: " or "),
                    Hex.encode(evidence.key.name),
                    "another TPM, or one that was cleared; compare, then change `ak`"
                )
            }
            return nil
        case .endorsed(let roots, let keys):
            let certificate = try endorsementCertificate(roots: roots)
            let hash = Digest.sha256(certificate.spki)
            guard keys.accepts(hash) else {
                throw refusal(
                    "tpm.ek.key",
                    "SHA-256 of the endorsement key",
                    "one of `ek_keys`",
                    Hex.encode(hash),
                    "another TPM; compare, then change `ek_keys`"
                )
            }
            let proof = Activation(
                endorsementKeyHash: hash,
                attestationKeyName: evidence.key.name
            )
            if activations.contains(proof) { return nil }
            return ActivationRequest(
                endorsementKey: certificate.publicKey,
                attestationKeyName: evidence.key.name
            )
        case .certified(let roots):
            try checkCertificates(roots: roots)
            return nil
        case .underSNP(let policy):
            try HCLAppraisal(evidence: evidence, endorsements: endorsements, now: now).run(policy)
            return nil
        case .underTDX(let policy):
            try HCLAppraisal(evidence: evidence, endorsements: endorsements, now: now).run(policy)
            return nil
        }
    }

    // The cloud says that it made this key in a TPM of its own.
    private func checkCertificates(roots: [Certificate]) throws(Refusal) {
        do throws(KeyError) {
            var chain: [Certificate] = []
            for der in evidence.keyCertificates { chain.append(try Certificate(padded: der)) }
            guard let leaf = chain.first else { throw KeyError(.chain, "certificate: none") }
            guard ConstantTime.equal(leaf.spki, evidence.key.key.spki) else {
                throw KeyError(.chain, "certificate: of another key")
            }
            guard !leaf.isAuthority else {
                throw KeyError(.chain, "an authority, not an attestation key")
            }
            var options = CertificateChain.Options()
            options.toleratesUnknownCriticalInLeaf = true
            try CertificateChain.validate(
                leaf, intermediates: Array(chain.dropFirst()), anchors: roots, now: now,
                options: options)
        } catch {
            throw refusal(
                "tpm.ak.certificate",
                "certificate of the attestation key",
                "one that leads to `ak_roots`, valid now",
                error.description,
                "add the cloud's root to `ak_roots`, or have the peer send its chain"
            )
        }
    }

    private func endorsementCertificate(roots: [Certificate]) throws(Refusal) -> Certificate {
        guard let bytes = evidence.endorsementCertificate else {
            throw refusal(
                "tpm.ek.missing",
                "endorsement certificate",
                "one that leads to `ek_roots`",
                "none",
                "the TPM has none in NV 0x01C00002; pin its attestation key instead"
            )
        }
        do throws(KeyError) {
            let certificate = try Certificate(der: bytes)
            var options = CertificateChain.Options()
            options.toleratesUnknownCriticalInLeaf = true
            let intermediates = endorsements.compactMap { endorsement in
                endorsement.mediaType == Endorsement.certificateType
                    ? try? Certificate(der: endorsement.bytes) : nil
            }
            try CertificateChain.validate(
                certificate,
                intermediates: intermediates,
                anchors: roots,
                now: now,
                options: options
            )
            guard !certificate.isAuthority else {
                throw KeyError(.chain, "an authority, not an endorsement key")
            }
            // tcg-kp-EKCertificate: a vendor's authority may certify other keys too, of anyone.
            guard certificate.hasExtendedKeyUsage("2.23.133.8.1") else {
                throw KeyError(.chain, "not a certificate for endorsement keys")
            }
            return certificate
        } catch {
            throw refusal(
                "tpm.ek.certificate",
                "endorsement certificate",
                "one that leads to `ek_roots`, valid now",
                error.description,
                "add the TPM vendor's root or intermediate to `ek_roots`"
            )
        }
    }

    private func checkSelection() throws(Refusal) {
        let expected = policy.pcrs.keys.sorted()
        let quoted = evidence.values.keys.sorted()
        guard evidence.bank == policy.bank, quoted == expected else {
            throw refusal(
                "tpm.pcr.selection",
                "PCR selection",
                "\(policy.bank.rawValue) \(expected)",
                "\(evidence.bank.rawValue) \(quoted)",
                "have the attester quote the bank and registers of the policy"
            )
        }
    }

    private func checkValues() throws(Refusal) {
        for (index, reference) in policy.pcrs.sorted(by: { $0.key < $1.key }) {
            guard let value = evidence.values[index], reference.accepts(value) else {
                var expected = "any"
                if case .oneOf(let values) = reference {
                    expected = values.map(Hex.encode).joined(separator: " or ")
                }
                throw refusal(
                    "tpm.pcr.mismatch",
                    "PCR \(index) (\(policy.bank.rawValue))",
                    expected.isEmpty ? "nothing" : expected,
                    Hex.encode(evidence.values[index] ?? []),
                    "the machine booted something else; if that is right, change the policy"
                )
            }
        }
    }

    private func checkState() throws(Refusal) {
        let attest = evidence.attest
        guard policy.resetCount.accepts(attest.resetCount) else {
            throw refusal(
                "tpm.reset_count",
                "resetCount",
                "\(policy.resetCount)",
                "\(attest.resetCount)",
                "the machine was rebooted; if that is right, change `reset_count`"
            )
        }
        guard policy.restartCount.accepts(attest.restartCount) else {
            throw refusal(
                "tpm.restart_count",
                "restartCount",
                "\(policy.restartCount)",
                "\(attest.restartCount)",
                "the machine was suspended; if that is right, change `restart_count`"
            )
        }
        guard attest.safe || policy.allowsUnsafeClock else {
            throw refusal(
                "tpm.clock.unsafe",
                "safe",
                "yes",
                "no",
                "the TPM lost power; wait until its clock is written again"
            )
        }
        if case .atLeast(let version) = policy.firmware, attest.firmwareVersion < version {
            throw refusal(
                "tpm.firmware.old",
                "firmwareVersion",
                "at least \(String(version, radix: 16))",
                String(attest.firmwareVersion, radix: 16),
                "update the TPM's firmware"
            )
        }
    }

    private func checkEventLog() throws(Refusal) {
        guard policy.eventLog == .replayed else { return }
        guard let bytes = evidence.eventLog else {
            throw refusal(
                "tpm.event_log.missing",
                "event log",
                "a log that replays",
                "none",
                "give the attester the firmware's log, or write `event_log: any`"
            )
        }
        let replayed = try EventLog(bytes).replay(policy.bank)
        for (index, value) in evidence.values.sorted(by: { $0.key < $1.key }) {
            let zero = [UInt8](repeating: 0, count: value.count)
            guard ConstantTime.equal(replayed[index] ?? zero, value) else {
                throw refusal(
                    "tpm.event_log.mismatch",
                    "event log, PCR \(index)",
                    Hex.encode(value),
                    Hex.encode(replayed[index] ?? zero),
                    "the log leaves out or adds measurements; look at the machine"
                )
            }
        }
    }

    private func refusal(
        _ code: String,
        _ field: String,
        _ expected: String,
        _ got: String,
        _ remedy: String
    ) -> Refusal {
        TPMEvidence.refusal(code, .policy, field, expected, got, remedy)
    }
}
