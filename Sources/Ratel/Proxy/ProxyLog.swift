internal import Logging
internal import Loop
internal import Streams

/// A proxy's lines: those of its connections, and one for each request where the access log is on.
final class ProxyLog: Sendable {
    /// Of connections, and what is counted.
    let channel: ChannelLog

    /// Where a request came in and went.
    struct Place {
        let listener: String
        let route: String?
        let backend: String?
        let remote: Address?
    }

    init(_ settings: LoggingSettings) {
        channel = ChannelLog(logger: settings.logger("proxy"), accessLog: settings.accessLog)
    }

    var logger: Logger { channel.logger }

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
