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
    /// Whether the way there offers HTTP/2, so that many streams may share a connection.
    public var offersHTTP2 = false
    /// How long each wait may last.
    public var budgets = Budgets()
    /// Connections that may stand at once; one stream each in HTTP/1.1, so this is also the number
    /// of streams. 4,096: above what one inference server runs at once, below the 28,000 ports
    /// that one address pair has.
    public var maximumConnections = 4_096
    /// Whether it is another Ratel, that is admitted before anything comes of it: its `X-Ratel-*`
    /// fields are passed on.
    public var isRatel = false
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

    /// How the target's pieces are acknowledged.
    var acknowledging = Acknowledging()
    private var idle: [Upstream] = []
    private var all: [ObjectIdentifier: Upstream] = [:]
    /// Connections of HTTP/2, in the order in which they opened.
    private var shared: [HTTP2Upstream] = []
    /// Conversations that wait for the connection that is being made, which may carry them all.
    private var waiting: [Conversation] = []
    private var isOpening = false
    /// Whether the last connection that opened spoke HTTP/1.1.
    private var speaksHTTP1 = false

    /// Makes an empty pool.
    public init(on loop: EventLoop, target: UpstreamTarget, metrics: StreamMetrics) {
        self.loop = loop
        self.target = target
        self.metrics = metrics
    }

    /// Ends the admission of every link: those in use finish their exchange and are not lent again.
    ///
    /// With a failure they end, and their exchanges in it.
    public func expireAdmissions(cutting failure: Failure?) {
        for link in Array(all.values) where link.expiresAt != nil {
            link.expiresAt = loop.now
            if let failure { link.endAdmission(failure, afterStreams: false) }
        }
        for carrier in shared { carrier.retireIfOver() }
    }

    /// Gives `conversation` an idle link or a stream of one that others use too, or starts a new
    /// one; it is told when the way is open.
    func acquire(for conversation: Conversation) {
        while let link = idle.popLast() {
            guard link.remainingLife > 0 else {
                link.discard()
                continue
            }
            metrics.upstreamReuses.add(1)
            link.lend(to: conversation)
            conversation.upstreamWasChosen(.connection(link))
            conversation.upstreamDidOpen(link)
            return
        }
        for carrier in shared { carrier.retireIfOver() }
        if let carrier = shared.first(where: \.hasRoom) {
            metrics.upstreamReuses.add(1)
            return carrier.open(for: conversation)
        }
        if target.offersHTTP2, !speaksHTTP1 {
            if isOpening || shared.contains(where: \.isSettling) {
                return waiting.append(conversation)
            }
            isOpening = true
        }
        start(for: conversation)
    }

    private func start(for conversation: Conversation) {
        guard all.count < target.maximumConnections else {
            return didNotOpen(.refused(.saturated), conversation)
        }
        guard case .ip(let host, let port) = target.address else {
            return connect(to: [target.address], for: conversation)
        }
        // The conversation is kept by this closure until the name is resolved.
        Resolver.resolve(host: host, port: port, on: loop) { [self] found in
            switch found {
            case .success(let addresses): connect(to: addresses, for: conversation)
            case .failure(let error):
                didNotOpen(.socket(error), conversation)
            }
        }
    }

    private func connect(to addresses: [Address], for asking: Conversation) {
        // Who asked may be gone; others may wait for the connection all the same.
        guard let conversation = asking.awaitsUpstream ? asking : nextWaiting() else {
            isOpening = false
            return
        }
        // Again: while names were looked up, others may have taken the last places.
        guard all.count < target.maximumConnections else {
            return didNotOpen(.refused(.saturated), conversation)
        }
        metrics.upstreamConnects.add(1)
        let link = Upstream(pool: self, addresses: addresses)
        all[ObjectIdentifier(link)] = link
        conversation.upstreamWasChosen(.connection(link))
        link.start(for: conversation)
    }

    private func nextWaiting() -> Conversation? {
        while !waiting.isEmpty {
            let next = waiting.removeFirst()
            if next.awaitsUpstream { return next }
        }
        return nil
    }

    /// Who asked for a connection is gone before it was open, and it with them.
    func openingWasGivenUp() {
        isOpening = false
        serveWaiting()
    }

    /// A link is open and carries one exchange at a time: who waited for a share of it gets one of
    /// their own.
    func didOpen(_ link: Upstream) {
        guard target.offersHTTP2 else { return }
        speaksHTTP1 = true
        isOpening = false
        serveWaiting()
    }

    /// A link is open and has room for many.
    func didOpen(_ carrier: HTTP2Upstream, for first: Conversation?) {
        speaksHTTP1 = false
        isOpening = false
        shared.append(carrier)
        if let first, first.awaitsUpstream { carrier.open(for: first) }
        serveWaiting()
    }

    /// Serves those who wait, as far as there is room, and makes another connection for the rest.
    func serveWaiting() {
        guard !waiting.isEmpty, !isOpening else { return }
        let others = waiting
        waiting = []
        for conversation in others where conversation.awaitsUpstream {
            acquire(for: conversation)
        }
    }

    /// No connection came to be, at the first of several addresses or at all.
    func didNotOpen(_ error: LinkError, _ first: Conversation?, remaining: [Address] = []) {
        if let first, !remaining.isEmpty { return connect(to: remaining, for: first) }
        isOpening = false
        let others = waiting
        waiting = []
        first?.upstreamDidBreak(error, wasOpen: false)
        for conversation in others { conversation.upstreamDidBreak(error, wasOpen: false) }
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

    func forget(_ link: Upstream, _ carrier: HTTP2Upstream?) {
        all[ObjectIdentifier(link)] = nil
        idle.removeAll { $0 === link }
        if let carrier { shared.removeAll { $0 === carrier } }
    }

    /// Closes the idle links; the lent ones end with their conversations.
    public func close() {
        for link in idle { link.discard() }
        for carrier in shared { carrier.drain() }
    }
}

extension Failure {
    static let saturated = Failure(
        status: 503, code: "upstream.saturated",
        message: "every connection to the upstream is in use", stage: "connect",
        remedy: "retry later, or raise --max-upstream-connections")
}
