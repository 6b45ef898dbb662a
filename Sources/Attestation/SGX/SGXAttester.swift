internal import Bytes
public import RATS

/// An enclave of SGX under Gramine: a quote through its pseudo-files, Gramine documentation,
/// "Attestation and Secret Provisioning".
///
/// Evidence: the quote (Intel SGX DCAP Quoting Library API, appendix A) as it is.
public final class SGXAttester: Attester {
    /// Bytes of a quote: Gramine's own limit is 8 KiB.
    static let maximumQuote = 16 * 1024
    /// Where report_data is: a header of 48 bytes, then 320 of the report's body.
    static let reportDataOffset = 368

    private let folder: String
    // The two files belong together, and there is one pair for the enclave.
    private let turn = Locked(())

    /// Prepares to ask; `folder` is `/dev/attestation` in every enclave of Gramine.
    public init(folder: String) { self.folder = folder }

    public var name: String { "Intel SGX (Gramine, \(folder))" }
    public var kinds: [EvidenceKind] { [.cpuTEE] }

    public func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence] {
        let reportData = challenge.reportData([])
        let quote: [UInt8]
        do throws(HostError) {
            quote = try turn.withLock { _ throws(HostError) in
                try HostFile.writeAll(folder + "/user_report_data", reportData)
                return try HostFile.readAll(folder + "/quote", limit: SGXAttester.maximumQuote)
            }
        } catch {
            throw error.refusal(
                .sgx, remedy: "run under Gramine with sgx.remote_attestation = \"dcap\"")
        }
        try ReportData.check(reportData, in: quote, at: SGXAttester.reportDataOffset, of: .sgx)
        return [Evidence(.sgx, bytes: quote)]
    }
}
