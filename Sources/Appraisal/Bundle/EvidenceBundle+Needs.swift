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
        case .nitro, .nvidia, .cca: []
        case .certificate: needsOfQuote
        }
    }

    private var needsOfQuote: [CollateralNeed] {
        (try? CollateralNeed.dcap(file("quote.bin") ?? [])).map { [$0] } ?? []
    }

    private var hclReport: [UInt8] {
        (try? HCLReport(file("hcl-report.bin") ?? []))?.report ?? []
    }
}
