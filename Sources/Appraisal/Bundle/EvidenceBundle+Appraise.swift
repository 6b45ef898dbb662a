internal import Keys
public import RATS

extension EvidenceBundle {
    /// Appraises the bundle under `policy` at the Unix time `now`.
    ///
    /// `anchors` are trusted beside the roots of the policy; `covering` is what the Evidence has to
    /// cover, nil where the caller takes any. What needs a live machine is refused.
    public func appraise(
        _ policy: AppraisalPolicy, anchors: TrustAnchors = TrustAnchors(), covering: [UInt8]?,
        now: Int64
    ) throws(Refusal) -> AttestationResult {
        if kind == .certificate {
            return try appraiseCertificate(policy, anchors: anchors, covering: covering, now: now)
        }
        let (evidence, endorsements) = try authentic(now)
        if let covering {
            try EvidenceBundle.check(evidence.claims, kind, covers: covering)
        }
        let outcome = try Appraiser.decide(
            [evidence], endorsements: endorsements, configuration: Array("{}".utf8),
            policy: policy.trusting(anchors), now: now, tier: .none)
        guard case .admitted(let result) = outcome else {
            throw Refusal(
                "tpm.activation.offline", .policy, kind: "tpm", field: "credential activation",
                expected: "a connection to the machine", got: "a file",
                remedy: "verify HOST:PORT, or pin the attestation key in the policy (tpm.ak)")
        }
        return result
    }

    // Of several forms in one certificate, all of which are of its key, the first counts.
    private func appraiseCertificate(
        _ policy: AppraisalPolicy, anchors: TrustAnchors, covering: [UInt8]?, now: Int64
    ) throws(Refusal) -> AttestationResult {
        let bundle = CertificateBundle(bundle: self, anchors: anchors, now: now)
        let leaf = try bundle.leaf()
        let endorsements = bundle.endorsements(leaf)
        for carried in leaf.carried.dropFirst() {
            _ = try carried.authenticate(endorsements: endorsements)
        }
        let result = try leaf.carried[0].appraise(
            policy, anchors: anchors, endorsements: endorsements, tier: .static,
            end: leaf.certificate.notAfter, now: now)
        if let covering, let first = result.evidence.first {
            try EvidenceBundle.check(first.claims, kind, covers: covering)
        }
        return result
    }

    /// The bundle as Evidence of a connection would be, once its own signatures hold.
    private func authentic(_ now: Int64) throws(Refusal) -> (AuthenticEvidence, [Endorsement]) {
        switch kind {
        case .tdx, .sgx:
            let bytes = try required("quote.bin", "a quote")
            let quote = try DCAPQuote(bytes)
            try quote.checkSignatures()
            let dcap = DCAPEvidence(bytes: bytes, quote: quote, collateral: collateral)
            return (
                AuthenticEvidence(
                    format: quote.isTDX ? .tdx : .sgx, index: 0, claims: quote.claims,
                    detail: .dcap(dcap)), []
            )
        case .snp:
            let snp = try SNPEvidence(
                report: try required("report.bin", "an attestation report"),
                certificates: snpCertificates, revocationList: file("crl.der"))
            return (
                AuthenticEvidence(format: .snp, index: 0, claims: snp.claims, detail: .snp(snp)), []
            )
        case .nitro:
            let nitro = try NitroEvidence.unbound(
                try required("attestation-document.cbor", "an attestation document"))
            return (
                AuthenticEvidence(
                    format: .nitro, index: 0, claims: nitro.document.claims, detail: .nitro(nitro)),
                []
            )
        case .certificate, .tpm, .nvidia, .cca:
            throw Refusal(
                "evidence.policy.unsupported", .evidence, kind: kind.rawValue, field: "policy",
                expected: "a quote, report or document of tdx, sgx, snp or nitro",
                got: kind.rawValue,
                remedy: "verify the machine itself, or use --authenticity-only")
        }
    }

    /// Refuses Evidence that does not cover `bytes`, with zeros behind where the field is longer.
    static func check(
        _ claims: Claims, _ kind: Kind, covers bytes: [UInt8]
    ) throws(Refusal) {
        let names = ["report_data", "extra_data", "request_nonce", "realm.challenge", "nonce"]
        let name = names.first { claims[$0] != nil } ?? "nonce"
        var found: [UInt8] = []
        if case .bytes(let value)? = claims[name] { found = value }
        // REPORT_DATA has 64 bytes; what is shorter than its field stands at the front.
        let isPadded = name == "report_data"
        let zeros = isPadded ? [UInt8](repeating: 0, count: max(0, 64 - bytes.count)) : []
        guard ConstantTime.equal(found, bytes + zeros) else {
            throw Refusal(
                "evidence.nonce.mismatch", .binding, kind: kind.rawValue, field: name,
                expected: Hex.encode(bytes + zeros), got: Hex.encode(found),
                remedy: "ask the machine for Evidence over your nonce")
        }
    }
}

extension AppraisalPolicy {
    /// The same policy, in which `anchors` are roots beside those it has.
    public func trusting(_ anchors: TrustAnchors) -> AppraisalPolicy {
        guard case .appraised(let list) = peers, !anchors.pins.isEmpty else { return self }
        let certificates = anchors.certificates.map { Digest.sha256($0.der) }
        var copy = self
        copy.peers = .appraised(
            list.map { peer in
                var peer = peer
                peer.tdx?.roots += anchors.pins
                peer.sgx?.roots += anchors.pins
                peer.nitro?.roots += certificates
                for product in SNPProduct.allCases {
                    peer.snp?.roots[product, default: []] += anchors.pins
                }
                return peer
            })
        return copy
    }
}
