internal import Bytes
public import Loop
public import Streams

/// One address that a group of workers serves, each with its own listener.
public final class Gateway: Sendable {
    /// Makes what accepts a worker's connections, on that worker's loop.
    public typealias AcceptorMaker =
        @Sendable (_ member: WorkerGroup.Member, _ address: Address, _ metrics: StreamMetrics)
        throws(SocketError) -> any Acceptor

    private struct Site: Sendable {
        let mailbox: Mailbox
        let acceptor: LoopBound<any Acceptor>
        let metrics: StreamMetrics
    }

    private let workers: WorkerGroup
    private let makeAcceptor: AcceptorMaker
    private let sites = Locked<[Site]>([])
    private let bound: Locked<Address>

    /// Describes a gateway; `start` has it listen.
    public init(
        at address: Address, on workers: WorkerGroup, makeAcceptor: @escaping AcceptorMaker
    ) {
        self.workers = workers
        self.makeAcceptor = makeAcceptor
        bound = Locked(address)
    }

    /// The address that callers can use, with the port the system chose where 0 was asked.
    public var address: Address { bound.withLock { $0 } }

    /// What each worker counts.
    public var metrics: [StreamMetrics] { sites.withLock { $0.map(\.metrics) } }

    /// Connections accepted and connections ended, together.
    var connectionChanges: Int {
        metrics.reduce(0) { $0 + 2 * $1.accepted.now - $1.openConnections.now }
    }

    /// Listens, as the only gateway of its workers: where it cannot, they end.
    func startAlone() throws(ConfigurationError) {
        do {
            try start()
        } catch {
            workers.stop()
            throw ConfigurationError("cannot listen at \(address): \(error)")
        }
    }

    /// Listens on every worker; throws when the address cannot be had, and none listens then.
    ///
    /// `isVacated` says that this process gives the address up only now: then it is not asked for
    /// first whether somebody else has it.
    public func start(isVacated: Bool = false) throws(SocketError) {
        var members = workers.members[...]
        if !isVacated { try Listener.probe(address) }
        if case .unix(let path) = address {
            // A path has one listener; the kernel does not share it as it shares a port.
            members = members.prefix(1)
            if !isVacated { System.removeStaleSocket(path) }
        }
        for member in members {
            do {
                try start(on: member)
            } catch {
                stop()
                throw error
            }
        }
    }

    private func start(on member: WorkerGroup.Member) throws(SocketError) {
        let started = Gate<Result<(Site, Address), SocketError>>()
        let address = self.address
        member.mailbox.post { [makeAcceptor] in
            let metrics = StreamMetrics(member.loop.value.traffic)
            do throws(SocketError) {
                let acceptor = try makeAcceptor(member, address, metrics)
                let site = Site(
                    mailbox: member.mailbox, acceptor: LoopBound(acceptor), metrics: metrics)
                started.open(.success((site, acceptor.address)))
            } catch {
                started.open(.failure(error))
            }
        }
        let (site, found) = try started.wait().get()
        bound.withLock { $0 = found }
        sites.withLock { $0.append(site) }
    }

    /// Begins no request any more; `done` is called, on any thread, when the last of those that
    /// were begun has ended. New connections hear `refusal` until `stop`; nil accepts none.
    public func drain(refusing refusal: Failure?, then done: @escaping @Sendable () -> Void) {
        let all = sites.withLock { $0 }
        let remaining = Locked(all.count)
        for site in all {
            site.mailbox.post {
                site.acceptor.value.drain(refusing: refusal) {
                    let isLast = remaining.withLock { count in
                        count -= 1
                        return count == 0
                    }
                    if isLast { done() }
                }
            }
        }
        if all.isEmpty { done() }
    }

    /// Has each connection of now end after its present exchanges; accepting goes on.
    public func drainConnections() {
        for site in sites.withLock({ $0 }) {
            site.mailbox.post { site.acceptor.value.drainConnections() }
        }
    }

    /// Accepts at most so many connections on each worker from now on.
    public func limit(to maximum: Int) {
        for site in sites.withLock({ $0 }) {
            site.mailbox.post { site.acceptor.value.maximumConnections = maximum }
        }
    }

    /// Ends every admission, on both sides: what a new policy would refuse begins no request, and
    /// with a failure what was begun ends in it.
    public func expireAdmissions(cutting failure: Failure?) {
        for site in sites.withLock({ $0 }) {
            site.mailbox.post { site.acceptor.value.expireAdmissions(cutting: failure) }
        }
    }

    /// Closes everything at once; this has to live until its workers have ended, since links end
    /// in their own time and their pools must not go before them.
    public func stop() {
        for site in sites.withLock({ $0 }) {
            site.mailbox.post { site.acceptor.value.stop() }
        }
    }
}
