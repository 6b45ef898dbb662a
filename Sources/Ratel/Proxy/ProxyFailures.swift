internal import Streams

extension Failure {
    static let noRoute = Failure(
        status: 404, code: "proxy.route.none", message: "no route is for this request",
        stage: "request", field: "routes", expected: "a host, path, headers and model of a route",
        got: "others", remedy: "check the request's URL and model, or add a route")

    static let inspectionsFull = Failure(
        status: 503, code: "proxy.inspections.full",
        message: "too many requests are being read for their model", stage: "request",
        expected: "memory for one more", got: "none",
        remedy: "retry soon, raise `buffers`, or route by path", retryAfter: 1)

    static func noAccess(_ route: ProxyRoute) -> Failure {
        Failure(
            status: 403, code: "proxy.access.peer",
            message: "the route \(route.name) is for other callers", stage: "request",
            field: "access", expected: "an attested caller that the route names",
            got: "another caller",
            remedy: "call with the Evidence of a peer in `access`, or add the peer there")
    }

    static func tooManyStreams(_ route: ProxyRoute) -> Failure {
        Failure(
            status: 429, code: "proxy.streams.limit",
            message: "the route \(route.name) has as many streams as it may", stage: "request",
            field: "limits.streams", expected: "at most \(route.maximumStreams ?? 0) streams",
            got: "one more", remedy: "retry later, or raise the limit", retryAfter: 1)
    }

    /// Says which backends are down, and for how long at least.
    static func backendsDown(_ route: RouteState) -> Failure {
        let down = route.backends.map { backend in
            "\(backend.settings.name): \(backend.trouble ?? "just failed")"
        }
        let soonest = route.backends.map(\.settings.health.interval).min() ?? 1_000
        return Failure(
            status: 503, code: "proxy.backends.down",
            message: "no backend of the route \(route.settings.name) can be used",
            stage: "connect", field: "backends", expected: "one that is up",
            got: down.joined(separator: "; "),
            remedy: "start one of them; health checks bring it back",
            retryAfter: Int((soonest + 999) / 1_000))
    }
}
