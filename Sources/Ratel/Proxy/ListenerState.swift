internal import Loop
internal import RATLS
internal import Streams
internal import TLS

/// One listener as every worker sees it.
final class ListenerState: Sendable {
    /// How its connections are protected, with what that takes.
    enum Front: Sendable {
        case plain
        case tls(TLSContext, WebCallerVerifier)
        case attested(Channel)
        case passthrough([BackendState], idle: UInt64)
    }

    let settings: ProxyListener
    let front: Front
    /// What its callers are told of this side, where it is attested.
    let facts: ProxyFacts

    init(_ settings: ProxyListener, front: Front, facts: ProxyFacts) {
        self.settings = settings
        self.facts = facts
        self.front = front
    }

    /// What holds where no route says otherwise.
    var budgets: Budgets {
        var budgets = Budgets()
        budgets.idle = settings.idle
        return budgets
    }

    var channel: Channel? {
        if case .attested(let channel) = front { channel } else { nil }
    }
}

extension ProxyListener {
    /// What stays the same over a reload for a listener that keeps its socket.
    var key: String {
        // Port 0 is another one for each.
        if case .ip(_, let port) = address, port == 0 {
            return "\(address) \(name) \(isPassthrough)"
        }
        return "\(address) \(isPassthrough)"
    }
}
