internal import Keys

/// What the paravisor of an Azure confidential VM left in its vTPM: an attestation key, and the
/// hardware's report that vouches for it (Azure, "vTPM attestation", guest attestation protocol).
struct ParavisorKey {
    /// The persistent handle of the key.
    static let handle: UInt32 = 0x8100_0003
    /// NV index of the hardware's report with the keys that it vouches for.
    static let reportIndex: UInt32 = 0x0140_0001
    /// NV index of the key's certificate, where the cloud gives one.
    static let certificateIndex: UInt32 = 0x01C1_01D0

    // 32 bytes of header, 1184 of report, then the sizes before the report's type.
    private static let typePlace = 32 + 1184 + 8
    private static let typeTDX: UInt8 = 4

    let report: [UInt8]
    /// DER, of the key.
    let certificate: [UInt8]?

    /// Reads it; nil where the TPM is no such one.
    init?(_ connection: TPMConnection) throws(TPMError) {
        guard let report = try connection.readIndex(ParavisorKey.reportIndex),
            report.starts(with: Array("HCLA".utf8)), report.count > ParavisorKey.typePlace,
            connection.persistent(ParavisorKey.handle) != nil
        else { return nil }
        self.report = report
        certificate = try connection.readIndex(ParavisorKey.certificateIndex)
            .flatMap { try? Certificate(padded: $0).der }
    }

    /// The TDREPORT in the report; nil under SEV-SNP, whose report needs no quote.
    var tdReport: [UInt8]? {
        guard report[ParavisorKey.typePlace] == ParavisorKey.typeTDX else { return nil }
        return Array(report[32..<32 + QuotingService.reportSize])
    }
}
