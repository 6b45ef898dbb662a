internal import Keys
internal import RATS

/// The appraisal of one authentic Nitro document under one policy: appraisal.md, "AWS Nitro".
struct NitroAppraisal {
    let policy: NitroPolicy
    let evidence: NitroEvidence
    let now: Int64

    private var document: NitroDocument { evidence.document }

    /// Gives, if everything holds, the Unix time at which the document's certificate expires.
    @discardableResult
    func run() throws(Refusal) -> Int64 {
        try checkAuthenticity()
        try checkTime()
        try checkRegisters()
        return evidence.certificate.notAfter
    }

    /// What holds whatever the policy wants of the image: the chain, and no open console.
    func checkAuthenticity() throws(Refusal) {
        try checkChain()
        try checkDebug()
    }

    // The bundle begins with the root, AWS says; it is one only because it is pinned.
    private func checkChain() throws(Refusal) {
        let first = document.bundle.first ?? []
        guard policy.roots.contains(Digest.sha256(first)) else {
            throw refusal(
                "nitro.root.unknown",
                "SHA-256 of the first certificate in cabundle",
                policy.roots.map(Hex.encode).joined(separator: " or "),
                Hex.encode(Digest.sha256(first)),
                "the document does not come from this root of AWS"
            )
        }
        do throws(KeyError) {
            let root = try Certificate.read(der: first)
            var intermediates: [Certificate] = []
            for der in document.bundle.dropFirst() {
                intermediates.append(try Certificate.read(der: der))
            }
            try CertificateChain.validate(
                evidence.certificate,
                intermediates: intermediates,
                anchors: [root],
                now: now
            )
            guard !evidence.certificate.isAuthority else {
                throw KeyError(.chain, "an authority, not the key of an enclave")
            }
        } catch {
            throw refusal(
                "nitro.chain.invalid",
                "certificate chain",
                "one from the document's certificate to the root, valid now",
                error.description,
                "compare the clocks; documents are good for three hours"
            )
        }
    }

    private func checkTime() throws(Refusal) {
        let made = Int64(document.timestamp / 1000)
        guard abs(now - made) <= Int64(policy.maxSkew) else {
            throw refusal(
                "nitro.timestamp",
                "timestamp",
                "within \(policy.maxSkew) s of \(now)",
                "\(made)",
                "compare the clocks, or have the peer make a new document"
            )
        }
    }

    // The hypervisor zeroes the measurements of an enclave whose console is open.
    private func checkDebug() throws(Refusal) {
        guard document.pcrs[0]?.contains(where: { $0 != 0 }) == true else {
            throw refusal(
                "nitro.debug",
                "PCR 0",
                "a measurement",
                "zero",
                "run the enclave without --debug-mode"
            )
        }
    }

    private func checkRegisters() throws(Refusal) {
        for index in NitroPolicy.requiredRegisters where policy.pcrs[index] == nil {
            throw refusal(
                "nitro.pcr.policy",
                "PCR \(index)",
                "an entry in the policy",
                "none",
                "list its values under `pcrs`, or write `any`"
            )
        }
        for (index, reference) in policy.pcrs.sorted(by: { $0.key < $1.key }) {
            guard let value = document.pcrs[index], reference.accepts(value) else {
                var expected = "any"
                if case .oneOf(let values) = reference {
                    expected =
                        values.isEmpty
                        ? "nothing" : values.map(Hex.encode).joined(separator: " or ")
                }
                throw refusal(
                    "nitro.pcr.mismatch",
                    "PCR \(index)",
                    expected,
                    document.pcrs[index].map(Hex.encode) ?? "none",
                    "another image; if that is right, change `pcrs`"
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
        NitroEvidence.refusal(code, .policy, field, expected, got, remedy)
    }
}
