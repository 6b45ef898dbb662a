public import Keys
public import RATS

extension CarriedEvidence {
    /// Checks everything about `carried` that needs no policy, at the Unix time `now`: Evidence
    /// that a server shows with its `certificate`, in one form or several.
    ///
    /// `endorsements` are used in place of what came along, where they are given; `anchors` are
    /// trusted beside the vendors' roots.
    public static func findings(
        _ carried: [CarriedEvidence], of certificate: Certificate,
        tier: AttestationResult.Tier, anchors: TrustAnchors, endorsements: [Endorsement]? = nil,
        now: Int64
    ) throws(Refusal) -> BundleFindings {
        var check = AuthenticityCheck(anchors: anchors, now: now)
        check.claims = certificate.summary
        check.checked = ["validity of the certificate", "Evidence over the certificate's key"]
        for item in carried {
            let own = endorsements ?? item.endorsements
            for piece in try item.authenticate(endorsements: own) {
                try check.take(piece, of: item, endorsements: own)
            }
            check.claims.append(item.events)
            if !item.events.entries.isEmpty {
                check.checked.append("event log, replayed to its registers")
            }
        }
        if !check.list.isEmpty { check.claims.set("evidence", .list(check.list)) }
        let format = carried.first?.evidence.first
            .flatMap { EvidenceFormat(mediaType: $0.mediaType) }
        let isInside = carried.allSatisfy { Dialect.inCertificates.contains($0.dialect) }
        let kind = format.flatMap { EvidenceBundle.Kind(rawValue: $0.rawValue) }
        var findings = BundleFindings(
            isInside ? .certificate : kind ?? .certificate, claims: check.claims,
            checked: check.checked, tcb: check.tcb)
        findings.tier = tier.rawValue
        findings.dialect = carried.map(\.dialect.rawValue).joined(separator: ", ")
        if tier == .static {
            findings.gaps.append(
                "connection: static Evidence covers a key; a stolen key uses it anywhere")
        }
        findings.gaps += carried.flatMap(\.gaps) + check.gaps
        return findings
    }
}

/// What is authentic of each piece, with no policy on what it measures.
private struct AuthenticityCheck {
    let anchors: TrustAnchors
    let now: Int64
    var claims = Claims()
    var checked: [String] = []
    var tcb: Claims?
    var list: [Claims.Value] = []
    var gaps: [String] = []

    mutating func take(
        _ piece: AuthenticEvidence, of carried: CarriedEvidence, endorsements: [Endorsement]
    ) throws(Refusal) {
        switch piece.detail {
        case .dcap(let dcap):
            tcb = try verify(dcap).claims
            list.append(.group(dcap.quote.summary(at: carried.place, carried.formula)))
            return checked += ["quote with Intel's collateral", "attributes"]
        case .nitro(let nitro):
            try NitroAppraisal(policy: .authenticity(anchors), evidence: nitro, now: now)
                .checkAuthenticity()
            claims.append(nitro.document.claims)
            return checked += [
                "COSE signature", "certificate chain of the document", "debug mode",
            ]
        case .snp(let snp):
            try SNPAppraisal(policy: .authenticity(anchors), evidence: snp, now: now)
                .checkAuthenticity()
            checked += ["report signature", "certificate chain", "revocation of the CA"]
        case .tpm(let tpm):
            try trust(
                tpm.key.key, "tpm.ak.untrusted", "attestation key",
                "name the key with --root, or verify with a policy")
            checked += ["TPM quote and PCR values", "attestation key, as an anchor"]
        case .cca(let cca):
            try trust(
                cca.platformKey, "cca.cpak.missing", "platform attestation key",
                "name the machine's key with --root")
            checked += ["platform token, as an anchor", "realm token"]
        case .nvidia(let nvidia):
            try nvidia.chain.checkTrust(NVIDIARoots.nvidia.devices + anchors.pins, now: now)
            try nvidia.chain.checkFirmware(of: nvidia.report)
            checked += ["device report and its certificate chain"]
            gaps.append("device \(piece.index): reference manifests and revocation")
        case .result: throw ResultToken.unbound
        case .simulated:
            throw Refusal(
                "simulated.refused", .policy, kind: "simulated", field: "Evidence",
                expected: "hardware Evidence", got: "a software key, which vouches for nothing",
                remedy: "for tests only, verify with a policy that says `simulated: true`")
        }
        var group = Claims()
        group.set("extension", .text(carried.place))
        group.set("bound_by", .text(carried.formula))
        group.set("format", .text(piece.format.rawValue))
        group.append(piece.claims)
        list.append(.group(group))
    }

    private func verify(_ dcap: DCAPEvidence) throws(Refusal) -> DCAPVerification {
        let roots = DCAPRoots.intel + anchors.pins
        guard let collateral = dcap.collateral else {
            // What is wrong with the quote itself tells more than what is missing beside it.
            try dcap.quote.checkChain(roots: roots, now: now)
            try DCAPRules.check(dcap.quote)
            throw DCAPRefusal.collateral(
                "collateral.missing", "collateral", "Intel's, beside the Evidence", "none")
        }
        let verification = try DCAPVerification(
            dcap.bytes, collateral: collateral, now: now, roots: roots)
        try DCAPRules.check(dcap.quote)
        return verification
    }

    private func trust(
        _ key: PublicKey, _ code: String, _ field: String, _ remedy: String
    ) throws(Refusal) {
        guard anchors.trust(key) else {
            throw Refusal(
                code, .evidence, field: field, expected: "one that --root names",
                got: Hex.encode(Digest.sha256(key.spki)), remedy: remedy)
        }
    }
}
