internal import Keys
internal import RATS

/// The appraisal of the hardware report that vouches for the key of an Azure confidential VM's
/// vTPM: appraisal.md, "TPM 2.0 and vTPM".
struct HCLAppraisal {
    let evidence: TPMEvidence
    let endorsements: [Endorsement]
    let now: Int64

    func run(_ policy: SNPPolicy) throws(Refusal) {
        let report = try report(of: .snp)
        let snp = try SNPEvidence(
            report: report.report, certificates: [], revocationList: nil,
            endorsements: endorsements)
        try SNPAppraisal(policy: policy, evidence: snp, now: now).run()
    }

    func run(_ policy: TDXPolicy) throws(Refusal) {
        let report = try report(of: .tdx)
        let quote = try report.quote(evidence.hardwareQuote)
        try quote.checkSignatures()
        let dcap = DCAPEvidence(
            bytes: evidence.hardwareQuote ?? [], quote: quote,
            collateral: try DCAPEvidence.collateral(in: endorsements))
        try DCAPAppraisal(evidence: dcap, now: now).run(policy)
    }

    /// The report, once it vouches for the key that signed the quote.
    private func report(of hardware: HCLReport.Hardware) throws(Refusal) -> HCLReport {
        guard let bytes = evidence.paravisorReport else {
            throw HCLReport.refusal(
                "tpm.hcl.missing", "report", "the paravisor's, of \(hardware.rawValue)", "none",
                "run on an Azure confidential VM, or trust the attestation key in another way")
        }
        let report = try HCLReport(bytes)
        guard report.hardware == hardware else {
            throw HCLReport.refusal(
                "tpm.hcl.hardware", "report type", hardware.rawValue, report.hardware.rawValue,
                "another kind of machine; if that is right, change `hcl`")
        }
        try report.checkBinding(key: evidence.key.key)
        return report
    }
}
