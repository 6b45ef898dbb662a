internal import Logging
internal import Loop
internal import Streams
internal import TLS

/// One line per connection admitted or refused, and one per request where the access log is on.
final class ChannelLog: Sendable {
    let logger: Logger
    private let accessLog: AccessLog
    /// Refusals by code, for the metrics.
    let refusals = RefusalCounts()
    /// TLS handshakes that were completed, on either side.
    let handshakes = Counter()
    /// Peers that were admitted, on either side.
    let admissions = Counter()
    /// Admissions and renewals that rested on a lease.
    let leases = Counter()
    /// Peers of open connections that were admitted anew.
    let renewals = Counter()

    /// Writes to `logger`.
    init(logger: Logger, accessLog: AccessLog) {
        self.logger = logger
        self.accessLog = accessLog
    }

    func admitted(_ remote: Address?, _ caller: AdmittedCaller, details: Logger.Metadata) {
        admissions.addShared(1)
        var fields = details
        fields["remote"] = "\(remote?.description ?? "unknown")"
        fields["peer"] = "\(caller.name)"
        fields["tier"] = "\(caller.tier)"
        logger.info("admitted", metadata: fields)
    }

    func refused(_ remote: Address?, _ failure: Failure) {
        refusals.count(failure.code)
        var fields: Logger.Metadata = [
            "remote": "\(remote?.description ?? "unknown")", "code": "\(failure.code)",
            "stage": "\(failure.stage)",
        ]
        if let field = failure.field { fields["field"] = "\(field)" }
        if let expected = failure.expected { fields["expected"] = "\(expected)" }
        if let got = failure.got { fields["got"] = "\(got)" }
        if let remedy = failure.remedy { fields["remedy"] = "\(remedy)" }
        logger.warning("refused", metadata: fields)
    }

    func ended(_ connection: Downstream, _ error: LinkError?) {
        guard let error else { return }
        switch error {
        case .tls(let cause) where connection.phase != .open && connection.refusal == nil:
            refused(
                connection.remote,
                Failure(
                    status: 0, code: "tls.handshake", message: "the TLS handshake failed",
                    stage: "tls", expected: "TLS 1.3 as the profile says",
                    got: cause.description))
        case .refused(let failure) where failure.stage == "response":
            logger.warning(
                "stream cut",
                metadata: ["code": "\(failure.code)", "got": "\(failure.got ?? "")"])
        case .refused(let failure) where failure.stage == "proxy_protocol":
            refused(connection.remote, failure)
        default:
            logger.debug("connection ended", metadata: ["why": "\(error)"])
        }
    }

    /// `place` is what a use knows of the request beside its summary.
    func finished(_ summary: ExchangeSummary, with place: Logger.Metadata = [:]) {
        if let failure = summary.failure {
            refusals.count(failure.code)
        }
        guard accessLog == .metadata else { return }
        var fields: Logger.Metadata = [
            "method": "\(summary.method)", "path": "\(summary.path)",
            "status": "\(summary.status)", "in": "\(summary.requestBytes)",
            "out": "\(summary.responseBytes)", "ms": "\(summary.duration)",
        ]
        fields.merge(place) { own, _ in own }
        if let first = summary.firstByte { fields["first_byte_ms"] = "\(first)" }
        if let failure = summary.failure { fields["failure"] = "\(failure.code)" }
        logger.info("request", metadata: fields)
    }
}
