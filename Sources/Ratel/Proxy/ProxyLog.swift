internal import Logging
internal import Loop
internal import Streams

/// A proxy's lines: those of its connections, and one for each request where the access log is on.
final class ProxyLog: Sendable {
    /// Of connections, and what is counted.
    let channel: ChannelLog
    private let accessLog: AccessLog

    /// Where a request came in and went.
    struct Place {
        let listener: String
        let route: String?
        let backend: String?
        let remote: Address?
    }

    init(_ settings: LoggingSettings) {
        accessLog = settings.accessLog
        channel = ChannelLog(logger: settings.logger("proxy"), accessLog: settings.accessLog)
    }

    var logger: Logger { channel.logger }

    /// A tunnel is over: refusals and failures are told always, the rest with the access log on.
    func finished(_ summary: TunnelSummary, listener: String, backend: String?) {
        let isRefused =
            summary.failure.map { ["proxy_protocol", "connect"].contains($0.stage) } ?? false
        if isRefused, let failure = summary.failure {
            return channel.refused(summary.remote, failure)
        }
        if let failure = summary.failure { channel.refusals.count(failure.code) }
        guard accessLog == .metadata else { return }
        var fields: Logger.Metadata = [
            "listener": "\(listener)", "remote": "\(summary.remote?.description ?? "unknown")",
            "in": "\(summary.sent)", "out": "\(summary.received)", "ms": "\(summary.duration)",
        ]
        if let backend { fields["backend"] = "\(backend)" }
        if let failure = summary.failure { fields["failure"] = "\(failure.code)" }
        logger.info("tunnel", metadata: fields)
    }

    func finished(_ summary: ExchangeSummary, _ place: Place) {
        var fields: Logger.Metadata = [
            "listener": "\(place.listener)",
            "remote": "\(place.remote?.description ?? "unknown")",
        ]
        if let route = place.route { fields["route"] = "\(route)" }
        if let backend = place.backend { fields["backend"] = "\(backend)" }
        channel.finished(summary, with: fields)
    }
}
