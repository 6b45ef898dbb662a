internal import Bytes
internal import Keys
public import RATS

/// A guest of SEV-SNP: an attestation report through configfs-tsm, with the certificates that the
/// host has for it.
///
/// Evidence: a CBOR map `{1: ATTESTATION_REPORT, ?2: [certificate in DER], ?3: revocation list}`.
public final class SNPAttester: Attester {
    /// The module of the kernel that serves configfs-tsm in a guest.
    static let provider = "sev_guest"
    /// Bytes of a report, and where its REPORT_DATA is: AMD 56860, table 23.
    static let reportSize = 0x4A0
    static let reportDataOffset = 0x50

    private let report: TSMReport
    private let turn = Locked(())

    /// Prepares to ask; `folder` is usually `/sys/kernel/config/tsm/report`.
    public init(folder: String) { report = TSMReport(folder: folder) }

    public var name: String { "AMD SEV-SNP (\(report.folder))" }
    public var kinds: [EvidenceKind] { [.cpuTEE] }

    public func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence] {
        let reportData = challenge.reportData([])
        let blobs = try turn.withLock { _ throws(Refusal) in
            try report.make(
                reportData, provider: SNPAttester.provider, format: .snp, usesPrivilege: true)
        }
        guard blobs.out.count == SNPAttester.reportSize else {
            throw SNPAttester.refusal(
                "snp.report.length", "outblob", "\(SNPAttester.reportSize) bytes",
                "\(blobs.out.count)")
        }
        try ReportData.check(
            reportData, in: blobs.out, at: SNPAttester.reportDataOffset, of: .snp)
        let table = try SNPCertificateTable(blobs.auxiliary)
        let certificates = table.certificates.map { CBORValue.bytes($0) }
        let body = CBORValue.fields([
            (1, .bytes(blobs.out)), (2, certificates.isEmpty ? nil : .array(certificates)),
            (3, table.revocationList.map { .bytes($0) }),
        ])
        return [Evidence(.snp, bytes: body.encoded())]
    }

    static func refusal(
        _ code: String, _ field: String, _ expected: String, _ got: String
    ) -> Refusal {
        Refusal(
            code, .attestation, kind: "snp", field: field, expected: expected, got: got,
            remedy: "look at the host, which provides this to the guest")
    }
}
