internal import Bytes
public import Loop
public import Streams

/// Worker threads that serve one address, each with its own loop, listener and service.
public final class Gateway: Sendable {
    /// Makes what a worker's connections are for, on that worker's loop.
    public typealias ServiceMaker =
        @Sendable (_ loop: EventLoop, _ metrics: StreamMetrics) -> any StreamService

    private struct Site: Sendable {
        let mailbox: Mailbox
        let listener: LoopBound<StreamListener>
        let service: LoopBound<any StreamService>
        let metrics: StreamMetrics
        let address: Address
        var worker: Worker?
    }

    private let settings: GatewaySettings
    private let makeService: ServiceMaker
    private let sites = Locked<[Site]>([])
    private let bound: Locked<Address>

    /// Describes a gateway; `start` runs it.
    public init(_ settings: GatewaySettings, makeService: @escaping ServiceMaker) {
        self.settings = settings
        self.makeService = makeService
        bound = Locked(settings.listen)
    }

    /// The address that callers can use, with the port the system chose where 0 was asked.
    public var address: Address { bound.withLock { $0 } }

    /// What each worker counts.
    public var metrics: [StreamMetrics] { sites.withLock { $0.map(\.metrics) } }

    /// Starts every worker; throws when the address cannot be had, with none left running.
    public func start() throws(SocketError) {
        try Listener.probe(settings.listen)
        var count = settings.workers
        if case .unix(let path) = settings.listen {
            // A path has one listener; the kernel does not share it as it shares a port.
            System.removeStaleSocket(path)
            count = 1
        }
        for _ in 0..<count {
            try startWorker()
        }
    }

    private func startWorker() throws(SocketError) {
        let started = Gate<Result<Site, SocketError>>()
        let address = self.address
        let worker = Worker { [settings, makeService] in
            let loop = EventLoop(
                bufferCount: settings.buffersPerWorker, gather: settings.gather)
            let metrics = StreamMetrics(loop.traffic)
            let service = makeService(loop, metrics)
            do throws(SocketError) {
                let listener = try StreamListener(
                    on: loop, address: address, service: service,
                    maximumConnections: settings.maximumConnections)
                started.open(
                    .success(
                        Site(
                            mailbox: loop.mailbox, listener: LoopBound(listener),
                            service: LoopBound(service), metrics: metrics,
                            address: listener.address)))
            } catch {
                loop.mailbox.close()
                started.open(.failure(error))
            }
            loop.run()
        }
        switch started.wait() {
        case .failure(let error):
            worker.join()
            stop()
            throw error
        case .success(var site):
            bound.withLock { $0 = site.address }
            site.worker = worker
            sites.withLock { [site] in $0.append(site) }
        }
    }

    /// Accepts no more; `done` is called, on any thread, when the last stream has ended.
    public func drain(then done: @escaping @Sendable () -> Void) {
        let all = sites.withLock { $0 }
        let remaining = Locked(all.count)
        for site in all {
            site.mailbox.post {
                site.listener.value.drain {
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

    /// Ends every admission, on both sides: what a new policy would refuse begins no request.
    public func expireAdmissions() {
        for site in sites.withLock({ $0 }) {
            site.mailbox.post { site.listener.value.expireAdmissions() }
        }
    }

    /// Closes everything at once and waits for the workers to end.
    public func stop() {
        let all = sites.withLock { sites in
            defer { sites = [] }
            return sites
        }
        for site in all {
            site.mailbox.post {
                site.listener.value.close()
                site.listener.value.closeConnections()
                site.service.value.close()
                site.mailbox.close()
            }
        }
        for site in all { site.worker?.join() }
    }
}
