internal import Keys
internal import RATS

/// Why the key that signed a report is believed to be AMD's: ARK→ASK→VCEK or ARK→ASVK→VLEK.
struct SNPChain {
    let policy: SNPPolicy
    let evidence: SNPEvidence
    let now: Int64

    /// The product whose root the key leads to, once chain, revocation and extensions hold.
    func check() throws(Refusal) -> SNPProduct {
        let (product, root) = try root()
        let issuer = try checkPath(product, root)
        try checkRevocation(of: issuer, root)
        try checkProduct(product)
        try checkTCB(product)
        switch evidence.report.signingKey {
        case .vcek: try checkChip(product)
        case .vlek: try checkProvider()
        }
        return product
    }

    // The chain's own issuer names say which root is meant; the pin says whether it is the one.
    private func root() throws(Refusal) -> (SNPProduct, Certificate) {
        for certificate in evidence.certificates {
            let hash = Digest.sha256(certificate.spki)
            let names = SNPProduct.allCases.filter { policy.roots[$0]?.contains(hash) == true }
            for product in names where issues(product, .vcek, .vlek) {
                return (product, certificate)
            }
        }
        throw refusal(
            "snp.root.unknown",
            "AMD Root Key",
            expectedRoot,
            "issuer \(evidence.key.issuer)",
            "have the peer send ASK and ARK as AMD's KDS serves them"
        )
    }

    private var expectedRoot: String {
        let place = "of the key's product, among the certificates"
        if policy.roots == SNPRoots.amd { return "the pinned ARK \(place)" }
        return "an ARK of the policy's `roots` \(place)"
    }

    private func issues(_ product: SNPProduct, _ keys: SNPReport.SigningKey...) -> Bool {
        keys.contains { evidence.key.issuer.hasPrefix("CN=\(issuerName(product, $0)),") }
    }

    private func issuerName(_ product: SNPProduct, _ key: SNPReport.SigningKey) -> String {
        key == .vcek ? "SEV-\(product.vendorName)" : "SEV-VLEK-\(product.vendorName)"
    }

    // The role is in the issuer's name: an ASVK must not vouch for a chip, nor an ASK for a cloud.
    private func checkPath(
        _ product: SNPProduct,
        _ root: Certificate
    ) throws(Refusal) -> Certificate {
        let key = evidence.report.signingKey
        guard issues(product, key) else {
            throw refusal(
                "snp.key.role",
                "issuer of the signing key",
                "CN=\(issuerName(product, key))",
                evidence.key.issuer,
                "the certificate is not of the kind of key that signed"
            )
        }
        let issuers = evidence.certificates.filter {
            $0.subject == evidence.key.issuer && $0.isAuthority
        }
        do throws(KeyError) {
            guard !evidence.key.isAuthority else {
                throw KeyError(.chain, "an authority, not a key for reports")
            }
            guard let issuer = issuers.first else {
                throw KeyError(.chain, "the issuer's certificate is missing")
            }
            try CertificateChain.validate(
                evidence.key,
                intermediates: [issuer],
                anchors: [root],
                now: now
            )
            return issuer
        } catch {
            throw refusal(
                "snp.chain.invalid",
                "certificate chain",
                "one from the signing key to the ARK, valid now",
                error.description,
                "fetch the certificates from AMD's KDS again"
            )
        }
    }

    // The ARK's list speaks of ASK and ASVK; neither of them issues one.
    private func checkRevocation(of issuer: Certificate, _ root: Certificate) throws(Refusal) {
        guard !evidence.revocationLists.isEmpty else {
            if policy.revocation == .any { return }
            throw refusal(
                "snp.crl.missing",
                "revocation list",
                "the ARK's, current",
                "none",
                "have the peer send the list that AMD's KDS serves, or write `revocation: any`"
            )
        }
        var options = CertificateChain.Options()
        options.revocationLists = evidence.revocationLists
        do throws(KeyError) {
            try CertificateChain.validate(issuer, anchors: [root], now: now, options: options)
        } catch {
            throw refusal(
                error.reason == .revoked ? "snp.revoked" : "snp.crl.invalid",
                "revocation list",
                "the ARK's, current, without \(issuer.subject)",
                error.description,
                "fetch certificates and list from AMD's KDS again"
            )
        }
    }

    private func checkProduct(_ product: SNPProduct) throws(Refusal) {
        let named = SNPKeyCertificate(evidence.key).productName ?? ""
        let base = String(named.prefix { $0 != "-" })
        let reported = evidence.report.product
        guard base == product.vendorName, reported == nil || reported == product else {
            throw refusal(
                "snp.product.mismatch",
                "product",
                "\(product.vendorName), as the chain says",
                "\(named) in the certificate, \(reported?.vendorName ?? "none") in the report",
                "the certificate is of another machine"
            )
        }
        // Version 2 has no place for Turin's fmc and names no product.
        guard product != .turin || evidence.report.version >= 3 else {
            throw refusal(
                "snp.version.product",
                "VERSION",
                "3 or later from Turin",
                "\(evidence.report.version)",
                "update the peer's firmware"
            )
        }
    }

    private func checkTCB(_ product: SNPProduct) throws(Refusal) {
        let certified = SNPKeyCertificate(evidence.key).tcb
        let reported = SNPTCB(evidence.report.reportedTCB, product: product)
        guard let certified, let reported, certified == reported else {
            throw refusal(
                "snp.key.tcb",
                "REPORTED_TCB",
                certified?.shown ?? "one that the certificate names in full",
                reported?.shown ?? Hex.encode(evidence.report.reportedTCB),
                "fetch the certificate for the reported TCB"
            )
        }
    }

    private func checkChip(_ product: SNPProduct) throws(Refusal) {
        guard !evidence.report.masksChipKey else {
            throw refusal(
                "snp.chip_key.masked",
                "MASK_CHIP_KEY",
                "0",
                "1",
                "have the host stop hiding its chip's key"
            )
        }
        let hardware = SNPKeyCertificate(evidence.key).hardwareID ?? []
        // Turin's identifier is the first 8 bytes of CHIP_ID, the rest is zero.
        let size = product == .turin ? 8 : 64
        let padded = hardware + [UInt8](repeating: 0, count: max(0, 64 - hardware.count))
        guard hardware.count == size, padded == evidence.report.chipID else {
            throw refusal(
                "snp.key.chip_id",
                "CHIP_ID",
                Hex.encode(hardware),
                Hex.encode(evidence.report.chipID),
                "the certificate is of another chip, or the host hides its CHIP_ID"
            )
        }
    }

    private func checkProvider() throws(Refusal) {
        let key = SNPKeyCertificate(evidence.key)
        let expected: String
        switch policy.loadedKey {
        case .refused: expected = "a key of one chip"
        case .any: expected = "any provider's"
        case .oneOf(let names): expected = names.joined(separator: " or ")
        }
        let accepted =
            switch (policy.loadedKey, key.providerID) {
            case (.any, .some): key.hardwareID == nil
            case (.oneOf(let names), let name?): names.contains(name) && key.hardwareID == nil
            default: false
            }
        guard accepted else {
            throw refusal(
                "snp.vlek.provider",
                "CSP_ID of the VLEK",
                expected,
                key.providerID ?? "none",
                "if the provider is the right one, write it under `vlek`"
            )
        }
    }

    private func refusal(
        _ code: String,
        _ field: String,
        _ expected: String,
        _ got: String,
        _ remedy: String
    ) -> Refusal {
        SNPEvidence.refusal(code, .evidence, field, expected, got, remedy)
    }
}
