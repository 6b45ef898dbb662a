internal import Loop
internal import Streams

/// One route as every worker sees it.
final class RouteState: Sendable {
    let settings: ProxyRoute
    let backends: [BackendState]
    /// Requests that took it.
    let requests = Counter()
    /// Requests under way.
    let openStreams = Counter()
    /// Requests that ended with a failure, its own refusals included.
    let failures = Counter()
    /// Where the next tie begins.
    private let turn = Counter()

    init(_ settings: ProxyRoute, backends: [BackendState]) {
        self.settings = settings
        self.backends = backends
    }

    /// The backend to use; nil where none is up that was not `tried`.
    func choose(without tried: [BackendState]) -> BackendState? {
        BackendChoice.leastStreams(backends, turn: turn, without: tried)
    }
}

/// How one of several backends is chosen.
enum BackendChoice {
    /// The one with the fewest streams under way; ties take turns.
    static func leastStreams(
        _ backends: [BackendState], turn: borrowing Counter, without tried: [BackendState]
    ) -> BackendState? {
        turn.addShared(1)
        // Wraps after 2^63 requests.
        let first = turn.now & Int.max
        var best: BackendState?
        var fewest = Int.max
        for offset in 0..<backends.count {
            let backend = backends[(first + offset) % backends.count]
            let streams = backend.openStreams.now
            guard backend.isUp, streams < fewest, !tried.contains(where: { $0 === backend })
            else { continue }
            best = backend
            fewest = streams
        }
        return best
    }
}
