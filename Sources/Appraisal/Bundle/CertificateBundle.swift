internal import Keys
internal import RATS

/// A certificate with Evidence in it, in files: `cert.pem` or `cert.der`, and the collateral of the
/// Evidence beside it.
struct CertificateBundle {
    let bundle: EvidenceBundle
    let anchors: TrustAnchors
    let now: Int64

    func authenticate() throws(Refusal) -> BundleFindings {
        let leaf = try leaf()
        return try CarriedEvidence.findings(
            leaf.carried, of: leaf.certificate, tier: .static, anchors: anchors,
            endorsements: endorsements(leaf), now: now)
    }

    /// The certificate with its Evidence, all of which is of its key.
    func leaf() throws(Refusal) -> AttestedLeaf {
        try AttestedLeaf(try certificate(), now: now)
    }

    /// What lies beside the certificate in place of the same that came in it.
    func endorsements(_ leaf: AttestedLeaf) -> [Endorsement] {
        var all = leaf.carried.flatMap(\.stapled)
        if bundle.collateral != nil {
            all.removeAll { $0.mediaType == DCAPCollateral.mediaType }
        }
        return all + bundle.endorsementsOfHardware
    }

    func certificate() throws(Refusal) -> Certificate {
        do throws(KeyError) {
            if let der = bundle.file("cert.der") { return try Certificate(der: der) }
            let pem = bundle.file("cert.pem") ?? []
            // A chain may follow; the leaf is first.
            return try Certificate.read(pem: String(decoding: pem, as: UTF8.self))[0]
        } catch {
            throw AttestedLeaf.refusal(
                "certificate.malformed", "certificate", "X.509", error.description,
                "give the certificate as the server sends it")
        }
    }
}
