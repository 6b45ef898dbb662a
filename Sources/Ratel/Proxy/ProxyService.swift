internal import HTTP
internal import Loop
internal import RATLS
internal import Streams

/// Routes the requests of one listener on one worker.
final class ProxyService: StreamService {
    let metrics: StreamMetrics
    let limits = HTTPLimits()
    let site: ProxySite
    let log: ProxyLog
    private let view: ListenerView

    init(_ listener: ListenerState, at site: ProxySite, metrics: StreamMetrics, log: ProxyLog) {
        self.site = site
        self.metrics = metrics
        self.log = log
        view = ListenerView(listener, at: site)
    }

    /// The listener as the plan in force has it.
    var listener: ListenerState { view.listener }

    var budgets: Budgets { listener.budgets }

    func begin(_ connection: Downstream) {
        let listener = listener
        if listener.settings.awaitsProxyHeader, !connection.isAnnounced {
            return connection.awaitProxyHeader()
        }
        switch listener.front {
        case .plain: connection.begin()
        case .tls(let context, let verifier):
            connection.begin(
                context, serverName: nil,
                preamble: WebPreamble(.caller(verifier), log: log.channel))
        case .attested(let channel): channel.accept(connection)
        // Another listener has these: `TunnelListener`.
        case .passthrough: connection.close()
        }
    }

    func makeHandler(for connection: Downstream) -> any RequestHandler {
        ProxyHandler(service: self, connection: connection)
    }

    func ended(_ connection: Downstream, _ error: LinkError?) {
        log.channel.ended(connection, error)
    }

    // What it depends on is each backend's own.
    func expireAdmissions(cutting failure: Failure?) {}
    func close() {}
}
