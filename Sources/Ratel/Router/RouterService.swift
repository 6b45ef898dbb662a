internal import HTTP
internal import Loop
internal import Streams

/// Routes the requests of one listener on one worker.
final class RouterService: StreamService {
    let budgets: Budgets
    let limits: HTTPLimits
    let metrics: StreamMetrics
    let site: RouterSite
    let settings: GatewaySettings

    init(at site: RouterSite, metrics: StreamMetrics) {
        self.site = site
        self.metrics = metrics
        settings = site.state.settings.gateway
        budgets = settings.budgets
        limits = settings.limits
    }

    func begin(_ connection: Downstream) { site.state.front.accept(connection) }

    func makeHandler(for connection: Downstream) -> any RequestHandler {
        RouterHandler(service: self, connection: connection)
    }

    func ended(_ connection: Downstream, _ error: LinkError?) {
        site.state.log.ended(connection, error)
    }

    func expireAdmissions(cutting failure: Failure?) {
        site.expireAdmissions(cutting: failure)
    }

    func close() { site.close() }
}
