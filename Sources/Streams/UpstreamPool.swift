public import Loop
public import TLS

/// Where requests go, and how the way there is protected.
public struct UpstreamTarget {
    /// How the way there is protected.
    public enum Security {
        /// Nothing: a backend on loopback or behind a Unix socket, in the same trust domain.
        case plain
        /// TLS; the preamble opens the link or refuses it.
        case tls(
            context: () -> TLSContext, serverName: String?, preamble: () -> any Preamble)
    }

    /// A host name with a port, or a Unix socket.
    public var address: Address
    /// How the way there is protected.
    public var security: Security
    /// How long each wait may last.
    public var budgets = Budgets()
    /// Connections that may stand at once; one stream each in HTTP/1.1, so this is also the number
    /// of streams. 4,096: above what one inference server runs at once, below the 28,000 ports
    /// that one address pair has.
    public var maximumConnections = 4_096
    /// Whether each connection begins with the PROXY protocol's header, and so is for one caller.
    public var announcesCaller = false

    /// Names a target.
    public init(address: Address, security: Security) {
        self.address = address
        self.security = security
    }
}

/// One loop's connections to one target: idle ones are lent again, newest first.
public final class UpstreamPool {
    /// The loop of every link in it.
    public let loop: EventLoop
    /// What it counts.
    public let metrics: StreamMetrics
    /// Where it connects to.
    public let target: UpstreamTarget

    private var idle: [Upstream] = []
    private var all: [ObjectIdentifier: Upstream] = [:]

    /// Makes an empty pool.
    public init(on loop: EventLoop, target: UpstreamTarget, metrics: StreamMetrics) {
        self.loop = loop
        self.target = target
        self.metrics = metrics
    }

    /// Ends the admission of every link: those in use finish their exchange and are not lent again.
    public func expireAdmissions() {
        for link in all.values where link.expiresAt != nil { link.expiresAt = loop.now }
    }

    /// Gives `conversation` an idle link, or starts a new one; it is told when the link is open.
    func acquire(for conversation: Conversation) {
        while let link = idle.popLast() {
            guard link.remainingLife > 0 else {
                link.discard()
                continue
            }
            metrics.upstreamReuses.add(1)
            link.lend(to: conversation)
            conversation.upstreamWasChosen(link)
            conversation.upstreamDidOpen(link)
            return
        }
        guard all.count < target.maximumConnections else {
            return conversation.upstreamDidBreak(.refused(.saturated), wasOpen: false)
        }
        guard case .ip(let host, let port) = target.address else {
            return connect(to: [target.address], for: conversation)
        }
        // The conversation is kept by this closure until the name is resolved.
        Resolver.resolve(host: host, port: port, on: loop) { [self] found in
            guard conversation.awaitsUpstream else { return }
            switch found {
            case .success(let addresses): connect(to: addresses, for: conversation)
            case .failure(let error):
                conversation.upstreamDidBreak(.socket(error), wasOpen: false)
            }
        }
    }

    func connect(to addresses: [Address], for conversation: Conversation) {
        // Again: while names were looked up, others may have taken the last places.
        guard all.count < target.maximumConnections else {
            return conversation.upstreamDidBreak(.refused(.saturated), wasOpen: false)
        }
        metrics.upstreamConnects.add(1)
        let link = Upstream(pool: self, target: target, addresses: addresses)
        all[ObjectIdentifier(link)] = link
        conversation.upstreamWasChosen(link)
        link.start(for: conversation)
    }

    /// Takes a link back whose last exchange ended cleanly.
    func giveBack(_ link: Upstream) {
        // What is unread came behind the answer: nobody asked for it.
        guard link.isWritable, !link.hasUnread, link.remainingLife > 0, !target.announcesCaller
        else {
            return link.discard()
        }
        idle.append(link)
        link.rest()
    }

    /// Whether no link is left that could come back to it.
    public var isEmpty: Bool { all.isEmpty }

    func forget(_ link: Upstream) {
        all[ObjectIdentifier(link)] = nil
        idle.removeAll { $0 === link }
    }

    /// Closes the idle links; the lent ones end with their conversations.
    public func close() {
        for link in idle { link.discard() }
    }
}

extension Failure {
    static let saturated = Failure(
        status: 503, code: "upstream.saturated",
        message: "every connection to the upstream is in use", stage: "connect",
        remedy: "retry later, or raise --max-upstream-connections")
}
