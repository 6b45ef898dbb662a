internal import Keys
internal import RATS

extension EvidenceBundle {
    /// The collateral that the bundle's Evidence cannot be appraised without.
    ///
    /// Nothing is believed yet; Evidence that cannot be read needs nothing.
    public var needs: [CollateralNeed] {
        switch kind {
        case .tdx, .sgx: needsOfQuote
        case .snp: CollateralNeed.of(reported: file("report.bin") ?? [], snpCertificates)
        case .tpm:
            switch (try? HCLReport(file("hcl-report.bin") ?? []))?.hardware {
            case .snp: CollateralNeed.of(reported: hclReport, snpCertificates)
            case .tdx: needsOfQuote
            case nil: []
            }
        case .nvidia: needsOfDevice
        case .nitro, .cca, .result: []
        case .certificate: needsOfCertificate
        }
    }

    private var needsOfQuote: [CollateralNeed] {
        (try? CollateralNeed.dcap(file("quote.bin") ?? [])).map { [$0] } ?? []
    }

    private var needsOfCertificate: [CollateralNeed] {
        let bundle = CertificateBundle(bundle: self, anchors: TrustAnchors(), now: 0)
        guard let certificate = try? bundle.certificate(),
            let leaf = try? AttestedLeaf(certificate, now: certificate.notBefore)
        else { return needsOfQuote }
        return CollateralNeed.of(leaf.carried[0].evidence)
    }

    private var needsOfDevice: [CollateralNeed] {
        guard let pem = file("cert-chain.pem"), let raw = file("report.bin"),
            let chain = try? Certificate.read(pem: String(decoding: pem, as: UTF8.self)),
            let report = try? NVIDIAReport(raw, of: .gpu),
            let device = try? NVIDIADeviceChain(chain.map(\.der), of: .gpu)
        else { return [] }
        return CollateralNeed.of(report, device)
    }

    private var hclReport: [UInt8] {
        (try? HCLReport(file("hcl-report.bin") ?? []))?.report ?? []
    }
}
