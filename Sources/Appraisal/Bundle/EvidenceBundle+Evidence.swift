internal import Keys
public import RATS

extension EvidenceBundle {
    /// What is in the bundle, once its own signatures hold at the Unix time `now`: for looking at a
    /// machine before there is a policy for it. Nobody's keys are trusted, but that one of
    /// `anchors` may be a CCA platform's.
    public func inspect(
        anchors: TrustAnchors = TrustAnchors(), now: Int64
    ) throws(Refusal) -> [AuthenticEvidence] {
        try authentic(anchors, now).0
    }

    /// The bundle as the Evidence of a connection would be, once its own signatures hold, and what
    /// lies beside it as Endorsements.
    func authentic(
        _ anchors: TrustAnchors, _ now: Int64
    ) throws(Refusal) -> ([AuthenticEvidence], [Endorsement]) {
        switch kind {
        case .tdx, .sgx:
            let bytes = try required("quote.bin", "a quote")
            return ([try authentic(quote: bytes)], [])
        case .snp:
            let snp = try SNPEvidence(
                report: try required("report.bin", "an attestation report"),
                certificates: snpCertificates, revocationList: file("crl.der"))
            return (
                [
                    AuthenticEvidence(
                        format: .snp, index: 0, claims: snp.claims, detail: .snp(snp))
                ], []
            )
        case .nitro:
            let nitro = try NitroEvidence.unbound(
                try required("attestation-document.cbor", "an attestation document"))
            return (
                [
                    AuthenticEvidence(
                        format: .nitro, index: 0, claims: nitro.document.claims,
                        detail: .nitro(nitro))
                ], []
            )
        case .tpm:
            let tpm = try TPMBundle(self, anchors, now).evidence()
            return (
                [
                    AuthenticEvidence(
                        format: .tpm, index: 0, claims: tpm.claims, detail: .tpm(tpm))
                ], endorsementsOfHardware
            )
        case .nvidia:
            let devices = DeviceBundle(self, anchors, now)
            return (try devices.evidence(), devices.endorsements)
        case .result:
            let token = try ResultToken(try required("result.jwt", "a token"))
            return (
                [
                    AuthenticEvidence(
                        format: .result, index: 0, claims: token.claims, detail: .result(token))
                ], []
            )
        case .cca: return ([try authenticToken(anchors)], [])
        case .certificate:
            // Of several forms in one certificate, all of which are of its key, the first counts.
            let bundle = CertificateBundle(bundle: self, anchors: anchors, now: now)
            let leaf = try bundle.leaf()
            let endorsements = bundle.endorsements(leaf)
            return (try leaf.carried[0].authenticate(endorsements: endorsements), endorsements)
        }
    }

    private func authentic(quote bytes: [UInt8]) throws(Refusal) -> AuthenticEvidence {
        let quote = try DCAPQuote(bytes)
        try quote.checkSignatures()
        return AuthenticEvidence(
            format: quote.isTDX ? .tdx : .sgx, index: 0, claims: quote.claims,
            detail: .dcap(DCAPEvidence(bytes: bytes, quote: quote, collateral: collateral)))
    }

    // The token does not carry its key. One that lies beside it is only tried: that it is trusted
    // is for the policy to say.
    private func authenticToken(_ anchors: TrustAnchors) throws(Refusal) -> AuthenticEvidence {
        let token = try required("cca-token.cbor", "a CCA token")
        var keys = anchors.keys
        if let pem = file("cpak.pub.pem"),
            let key = try? PublicKey(pem: String(decoding: pem, as: UTF8.self))
        {
            keys.append(key)
        }
        var refused = CCAEvidence.refusal(
            "cca.cpak.missing", .evidence, "platform attestation key", "cpak.pub.pem",
            "none", "put the machine's key beside the token")
        for key in keys {
            do throws(Refusal) {
                return try CCAEvidence(token: token, platformKey: key).authentic()
            } catch {
                refused = error
            }
        }
        throw refused
    }

    /// What vouches for the hardware under a virtual TPM, or of Evidence in a certificate.
    var endorsementsOfHardware: [Endorsement] {
        var endorsements = snpCertificates.map {
            Endorsement(mediaType: Endorsement.certificateType, bytes: $0)
        }
        if let list = file("crl.der") {
            endorsements.append(
                Endorsement(mediaType: Endorsement.revocationListType, bytes: list))
        }
        if let collateral { endorsements.append(collateral.endorsement) }
        return endorsements
    }
}
