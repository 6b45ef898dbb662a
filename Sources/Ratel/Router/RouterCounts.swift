internal import Bytes
internal import Loop

/// What a router counts beside its connections.
final class RouterCounts: Sendable {
    let served = Counter()
    let cancelled = Counter()
    let failed = Counter()
    let failovers = Counter()
    let billed = Counter()
    let tokensIn = Counter()
    let tokensOut = Counter()
    /// The last decisions, newest last, for the page.
    private let recent = Locked<[Routed]>([])

    /// One decision as a page shows it: no prompt, no caller.
    struct Routed: Sendable {
        let id: String
        let time: Int64
        let model: String
        let provider: String?
        let attempts: Int
        let end: String
        let cost: Int64
        let tokensIn: Int64
        let tokensOut: Int64
        let firstToken: Int64
    }

    /// Decisions that a page shows.
    private static let most = 64

    func note(_ routed: Routed) {
        recent.withLock { recent in
            if recent.count == RouterCounts.most { recent.removeFirst() }
            recent.append(routed)
        }
    }

    var decisions: [Routed] { recent.withLock { $0 } }
}
