internal import Keys
public import RATS

extension EvidenceBundle {
    /// Checks everything about the bundle that needs no policy, at the Unix time `now`.
    ///
    /// `anchors` are trusted beside the vendors' roots; `covering` is what the Evidence has to
    /// cover, nil where the caller takes any.
    public func authenticate(
        anchors: TrustAnchors = TrustAnchors(), covering: [UInt8]? = nil, now: Int64
    ) throws(Refusal) -> BundleFindings {
        var findings = try findings(anchors, now)
        if let covering {
            try check(findings.claims, covers: covering)
            findings.checked.append("what the Evidence covers")
        }
        return findings
    }

    private func findings(_ anchors: TrustAnchors, _ now: Int64) throws(Refusal) -> BundleFindings {
        switch kind {
        case .tdx, .sgx: try authenticateQuote(anchors, now)
        case .snp: try authenticateReport(anchors, now)
        case .nitro: try authenticateDocument(anchors, now)
        case .tpm: try TPMBundle(self, anchors, now).authenticate()
        case .nvidia: try DeviceBundle(self, anchors, now).authenticate()
        case .cca: try authenticateToken(anchors)
        case .result: try authenticateResult(anchors, now)
        case .certificate:
            try CertificateBundle(bundle: self, anchors: anchors, now: now).authenticate()
        }
    }

    private func authenticateQuote(
        _ anchors: TrustAnchors, _ now: Int64
    ) throws(Refusal) -> BundleFindings {
        let bytes = try required("quote.bin", "a quote")
        let quote = try DCAPQuote(bytes)
        let roots = DCAPRoots.intel + anchors.pins
        guard let collateral else {
            // What is wrong with the quote itself tells more than what lies not beside it.
            try quote.checkChain(roots: roots, now: now)
            try DCAPRules.check(quote)
            throw DCAPRefusal.collateral(
                "collateral.missing", "collateral",
                "tcb_info.json, qe_identity.json, tcb_signing_chain.pem, pck_crl.der and "
                    + "root_ca_crl.der", "not all of them")
        }
        let verification = try DCAPVerification(
            bytes, collateral: collateral, now: now, roots: roots)
        try DCAPRules.check(quote)
        return BundleFindings(
            kind, claims: quote.claims,
            checked: [
                "PCK certificate chain", "revocation of the PCK and its CA", "TCB info",
                "QE identity", "QE report", "quote signature", "TCB level", "attributes",
            ],
            tcb: verification.claims)
    }

    /// Intel's collateral; a missing list is left empty, and refused as one where it is used.
    var collateral: DCAPCollateral? {
        guard let info = file("tcb_info.json"), let identity = file("qe_identity.json"),
            let chain = file("tcb_signing_chain.pem")
        else { return nil }
        return DCAPCollateral(
            tcbInfo: info, qeIdentity: identity, tcbSigningChain: chain,
            pckRevocations: file("pck_crl.der") ?? [],
            rootRevocations: file("root_ca_crl.der") ?? [])
    }

    private func authenticateReport(
        _ anchors: TrustAnchors, _ now: Int64
    ) throws(Refusal) -> BundleFindings {
        let evidence = try SNPEvidence(
            report: try required("report.bin", "an attestation report"),
            certificates: snpCertificates, revocationList: file("crl.der"))
        try SNPAppraisal(policy: .authenticity(anchors), evidence: evidence, now: now)
            .checkAuthenticity()
        return BundleFindings(
            kind, claims: evidence.claims,
            checked: [
                "report signature", "certificate chain", "revocation of the CA",
                "TCB and chip of the certificate", "guest policy",
            ])
    }

    /// The certificates of AMD's that lie here.
    var snpCertificates: [[UInt8]] {
        ["vcek.der", "vlek.der", "ask.der", "asvk.der", "ark.der"].compactMap { file($0) }
    }

    // Arm has no public root: the platform's key is named, and one that lies beside proves nothing.
    private func authenticateToken(_ anchors: TrustAnchors) throws(Refusal) -> BundleFindings {
        let token = try required("cca-token.cbor", "a CCA token")
        var refused = CCAEvidence.refusal(
            "cca.cpak.missing", .evidence, "platform attestation key", "one that is trusted",
            "none", "name the machine's key: --root cpak.pub.pem")
        for key in anchors.keys {
            do throws(Refusal) {
                return BundleFindings(
                    kind, claims: try CCAVerification.claims(token: token, platformKey: key),
                    checked: [
                        "platform token's signature", "realm's key", "realm token's signature",
                        "security lifecycle",
                    ])
            } catch {
                refused = error
            }
        }
        throw refused
    }

    private func authenticateResult(
        _ anchors: TrustAnchors, _ now: Int64
    ) throws(Refusal) -> BundleFindings {
        let token = try ResultToken(try required("result.jwt", "a token"))
        try token.check(anchors.verifiers, now: now)
        return BundleFindings(
            kind, claims: token.claims, checked: ["signature by a key of --root", "expiry"],
            gaps: ["Evidence: another Verifier appraised it, by a policy of its own"])
    }

    private func authenticateDocument(
        _ anchors: TrustAnchors, _ now: Int64
    ) throws(Refusal) -> BundleFindings {
        let bytes = try required("attestation-document.cbor", "an attestation document")
        let evidence = try NitroEvidence.unbound(bytes)
        try NitroAppraisal(policy: .authenticity(anchors), evidence: evidence, now: now)
            .checkAuthenticity()
        return BundleFindings(
            kind, claims: evidence.document.claims,
            checked: ["COSE signature", "certificate chain", "debug mode"])
    }
}
