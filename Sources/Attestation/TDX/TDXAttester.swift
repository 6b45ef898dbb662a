internal import Bytes
public import RATS

/// A trust domain of TDX: a quote over 64 bytes of report_data, by configfs-tsm or by the quoting
/// service on the host.
///
/// Evidence: the quote (Intel TDX DCAP Quoting Library API, appendix A) as it is.
public final class TDXAttester: Attester {
    /// How quotes are had.
    public enum Source: Sendable, Equatable {
        /// Linux 6.7 and later: the kernel asks the host. The folder is usually
        /// `/sys/kernel/config/tsm/report`.
        case configfs(folder: String)
        /// A TDREPORT of the device, usually `/dev/tdx_guest`, quoted by a service on the host:
        /// `vsock:CONTEXT:PORT` or `unix:PATH`.
        case quotingService(device: String, service: String)
    }

    /// The module of the kernel that serves configfs-tsm in a trust domain.
    static let provider = "tdx_guest"
    /// TDX_CMD_GET_REPORT0, linux/tdx-guest.h: `_IOWR('T', 1, struct tdx_report_req)`.
    static let getReport: UInt = 0xC440_5401

    private let source: Source
    private let service: QuotingService?
    // Platforms make one quote at a time.
    private let turn = Locked(())

    /// Prepares to ask; whether anything answers shows at the first quote.
    ///
    /// Errors: a quoting service that is written in neither form.
    public init(_ source: Source) throws(Refusal) {
        self.source = source
        guard case .quotingService(_, let text) = source else {
            service = nil
            return
        }
        guard let place = TDXAttester.place(text) else {
            throw Refusal(
                "tdx.quoting_service.address", .configuration, kind: "tdx",
                field: "--quoting-service", expected: "vsock:CONTEXT:PORT or unix:PATH",
                got: text, remedy: "write vsock:2:4050 for Intel's service on the host")
        }
        service = QuotingService(place: place)
    }

    public var name: String {
        switch source {
        case .configfs(let folder): "Intel TDX (\(folder))"
        case .quotingService(let device, let service): "Intel TDX (\(device), \(service))"
        }
    }
    public var kinds: [EvidenceKind] { [.cpuTEE] }

    public func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence] {
        let reportData = challenge.reportData([])
        let quote = try turn.withLock { _ throws(Refusal) in try make(reportData) }
        // Header of 48 bytes, from version 5 on a type and a size, then the body.
        let body = quote.first == 4 ? 48 : 54
        try ReportData.check(reportData, in: quote, at: body + 520, of: .tdx)
        return [Evidence(.tdx, bytes: quote)]
    }

    private func make(_ reportData: [UInt8]) throws(Refusal) -> [UInt8] {
        switch source {
        case .configfs(let folder):
            let report = TSMReport(folder: folder)
            return try report.make(
                reportData, provider: TDXAttester.provider, format: .tdx, usesPrivilege: false
            ).out
        case .quotingService(let device, _):
            var request = reportData + [UInt8](repeating: 0, count: QuotingService.reportSize)
            do throws(HostError) {
                try HostDevice.exchange(device, request: TDXAttester.getReport, &request)
            } catch {
                throw error.refusal(.tdx)
            }
            guard let service else { return [] }
            return try service.quote(Array(request[64...]))
        }
    }

    private static func place(_ text: String) -> HostSocket.Place? {
        if text.hasPrefix("unix:/") { return .unix(path: String(text.dropFirst(5))) }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "vsock", let context = UInt32(parts[1]),
            let port = UInt32(parts[2])
        else { return nil }
        return .host(context: context, port: port)
    }
}
