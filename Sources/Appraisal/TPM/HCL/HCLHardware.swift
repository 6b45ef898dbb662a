internal import Keys
internal import RATS

extension HCLReport {
    /// The TDX quote over this TDREPORT. The quote cannot be made again from the report, so its
    /// body has to be the same where both say it.
    func quote(_ bytes: [UInt8]?) throws(Refusal) -> DCAPQuote {
        guard let bytes else {
            throw HCLReport.refusal(
                "tpm.hcl.quote.missing", "TDX quote", "the quote of the TDREPORT", "none",
                "have the peer fetch it from the host (IMDS, /acc/tdquote)")
        }
        let quote = try DCAPQuote(bytes)
        guard case .tdx(let report) = quote.body else {
            throw DCAPRefusal.evidence("quote.tee_type", "TEE type", "tdx", "sgx")
        }
        // TDREPORT: TEE_TCB_INFO at 256, TDINFO at 512 with ATTRIBUTES, XFAM and MRTD first.
        guard ConstantTime.equal(report.reportData, expectedReportData),
            ConstantTime.equal(
                report.attributes + report.xfam + report.mrTD, Array(self.report[512..<576]))
        else {
            throw HCLReport.refusal(
                "tpm.hcl.quote", "TDX quote", "the TDREPORT's report_data and measurements",
                "others", "the quote is of another machine")
        }
        return quote
    }
}

extension DCAPQuote {
    /// What can be said of a quote without Intel's collateral: signatures, and a current chain to
    /// a root. Nothing is then known of revocation and TCB.
    func checkChain(roots: [[UInt8]], now: Int64) throws(Refusal) {
        let leaf = try DCAPChain(roots: roots, now: now).pckWithoutRevocation(certificates)
        guard leaf.publicKey.verifies(raw: qeReportSignature, over: qeReport.bytes) else {
            throw DCAPRefusal.evidence(
                "qe.signature", "QE report", "a signature by the PCK", "another")
        }
        try checkSignatures()
    }
}
