internal import HTTP
internal import Loop
internal import Streams

/// Routes the requests of one connection, one after the other, or the one of a stream.
final class ProxyHandler: RequestHandler {
    private let service: ProxyService
    private let caller: CallerFacts
    private let remote: Address?
    private unowned let connection: Downstream
    /// The request that waits for its model.
    private var waiting: (head: RequestHead, request: RoutedRequest)?
    private var route: RouteState?
    private var isCounted = false
    private var backend: BackendState?
    private var tried: [BackendState] = []

    private enum Model {
        case unasked
        case asked(String?)
    }

    init(service: ProxyService, connection: Downstream) {
        self.service = service
        self.connection = connection
        remote = connection.remote
        caller = CallerFacts(
            connection, forwardsAddress: service.listener.settings.forwardsClientAddress)
    }

    func handle(_ head: RequestHead) -> Disposition {
        if WellKnownPath.isReserved(head.path) { return wellKnown.disposition(of: head) }
        do throws(HTTPRefusal) {
            let request = try RoutedRequest(head, listener: service.listener.settings.name)
            return choose(head, request, .unasked)
        } catch {
            return .respond(Failure(error))
        }
    }

    func answer(_ body: [UInt8], with reply: LocalReply) { wellKnown.answer(body, with: reply) }

    // As the plan in force has the listener.
    private var wellKnown: WellKnownEndpoint {
        WellKnownEndpoint(channel: service.listener.channel, connection: connection)
    }

    func handle(model: String?) -> Disposition {
        guard let (waited, request) = waiting.take() else { return .respond(.noRoute) }
        var head = waited
        service.site.endInspection()
        // Its 100 was sent already, and its body is on its way.
        head.fields.removeAll(named: "expect")
        return choose(head, request, .asked(model))
    }

    private func choose(
        _ head: RequestHead, _ request: RoutedRequest, _ model: Model
    ) -> Disposition {
        for route in service.site.plan.routes where route.settings.match.holds(request) {
            switch model {
            case .unasked where route.settings.match.models != nil && request.hasBody:
                guard service.site.beginInspection() else { return .respond(.inspectionsFull) }
                waiting = (head, request)
                return .findModel(within: ModelInspection.limit)
            case .unasked where !route.settings.match.holds(model: nil): continue
            case .asked(let name) where !route.settings.match.holds(model: name): continue
            default: return enter(route, head)
            }
        }
        return .respond(.noRoute)
    }

    private func enter(_ route: RouteState, _ head: RequestHead) -> Disposition {
        self.route = route
        route.requests.addShared(1)
        guard admits(route.settings.access) else { return .respond(.noAccess(route.settings)) }
        if case .length(let length) = head.framing, length > maximumBody {
            return .respond(Failure(.bodyTooLarge(maximumBody)))
        }
        guard route.openStreams.take(below: route.settings.maximumStreams ?? .max) else {
            return .respond(.tooManyStreams(route.settings))
        }
        isCounted = true
        guard let backend = route.choose(without: []) else {
            return .respond(.backendsDown(route))
        }
        return .forward(
            caller.forward(head, to: backend.settings.address), use(backend))
    }

    private func admits(_ access: ProxyRoute.Access) -> Bool {
        switch access {
        case .any: true
        // Who is called so by an anonymous policy is nobody.
        case .peers(let names):
            caller.peer.map { $0.tier != "none" && names.contains($0.name) } ?? false
        }
    }

    private func use(_ backend: BackendState) -> UpstreamPool {
        self.backend?.openStreams.addShared(-1)
        self.backend = backend
        backend.openStreams.addShared(1)
        backend.requests.addShared(1)
        return service.site.pool(for: backend)
    }

    func alternative(to pool: UpstreamPool, after error: LinkError) -> UpstreamPool? {
        guard let failed = backend, let route else { return nil }
        if !error.isOfThisSide { failed.connectionFailed("\(error)") }
        tried.append(failed)
        return route.choose(without: tried).map { use($0) }
    }

    var maximumBody: UInt64 { route?.settings.maximumBody ?? .max }

    var sendsAtTicks: Bool { route?.settings.padding == .tick }

    var ownBudgets: Budgets? {
        guard let settings = route?.settings else { return nil }
        var budgets = service.budgets
        budgets.firstByte = settings.firstByte
        budgets.gap = settings.gap
        budgets.requestGap = settings.requestGap
        return budgets
    }

    func finished(_ summary: ExchangeSummary) {
        if waiting != nil { service.site.endInspection() }
        if isCounted { route?.openStreams.addShared(-1) }
        backend?.openStreams.addShared(-1)
        if summary.failure != nil { route?.failures.addShared(1) }
        service.log.finished(
            summary,
            ProxyLog.Place(
                listener: service.listener.settings.name, route: route?.settings.name,
                backend: backend?.settings.name, remote: remote))
        waiting = nil
        route = nil
        isCounted = false
        backend = nil
        tried = []
    }
}

extension LinkError {
    /// Whether it says nothing of the backend: this side has no connection or buffer left for it.
    var isOfThisSide: Bool {
        if case .refused(let failure) = self { failure.stage == "connect" } else { false }
    }
}
