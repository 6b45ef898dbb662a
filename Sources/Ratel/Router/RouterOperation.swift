internal import Bytes
internal import Keys
internal import Ledger
internal import Logging
internal import Loop
internal import Receipts
internal import Streams

/// A whole router: a gateway for callers, the providers behind it, and its papers.
final class RouterOperation: Operation {
    private let router: RouterState
    private let workers: WorkerGroup
    private let gateway: Gateway
    private let state: RouterStatus
    private let frontWatch: PolicyWatch
    private let certificateWatch: CertificateWatch?
    private let exporter: LedgerExporter
    private let policies = Locked<[ObjectIdentifier: [PolicyWatch]]>([:])
    private let main = Locked<(mailbox: Mailbox, bound: LoopBound<RouterDesk>)?>(nil)

    init(_ router: RouterState) {
        self.router = router
        let settings = router.settings
        workers = WorkerGroup(
            count: settings.gateway.workers, buffers: settings.gateway.buffersPerWorker,
            gather: settings.gateway.gather)
        let gateway = Gateway(at: settings.gateway.listen, on: workers) {
            [router] (member, address, metrics) throws(SocketError) in
            let site = RouterSite(on: member.loop.value, router, metrics: metrics)
            router.add(site, member.mailbox)
            return try StreamListener(
                on: member.loop.value, address: address,
                service: RouterService(at: site, metrics: metrics),
                maximumConnections: settings.gateway.maximumConnections)
        }
        self.gateway = gateway
        state = RouterStatus(router, gateway: gateway)
        router.status = state
        frontWatch = PolicyWatch(
            settings.policy, channel: router.front, logger: router.logger
        ) { gateway.expireAdmissions(cutting: $0) }
        certificateWatch = settings.identity.map {
            CertificateWatch($0, channel: router.front, logger: router.logger)
        }
        exporter = LedgerExporter(
            into: settings.state + "/exports",
            router.book.openLedger
        ) { [logger = router.logger] event in
            switch event {
            case .wrote(let folder, let receipts):
                logger.notice(
                    "exported", metadata: ["folder": "\(folder)", "receipts": "\(receipts)"])
            case .failed(let error):
                logger.error("not exported", metadata: ["why": "\(error)"])
            }
        }
    }

    var status: any OperationStatus { state }
    var channels: [Channel] {
        [router.front] + router.providers.flatMap { [$0.channel, $0.control] }
    }
    var connectionChanges: Int { gateway.connectionChanges }
    var addresses: [(name: String, address: Address)] { [("address", gateway.address)] }

    func start(on loop: EventLoop) throws(ConfigurationError) {
        router.takeKeys()
        router.book.refreshSeeds()
        try gateway.startAlone()
        let desk = RouterDesk(router, on: loop)
        main.withLock { [bound = LoopBound(desk), mailbox = loop.mailbox] in
            $0 = (mailbox, bound)
        }
        desk.start()
    }

    func check(isAsked: Bool) {
        frontWatch.check(isAsked: isAsked)
        certificateWatch?.check(isAsked: isAsked)
        for watch in policyWatches() { watch.check(isAsked: isAsked) }
        if router.reload(isAsked: isAsked), let (mailbox, bound) = main.withLock({ $0 }) {
            mailbox.post { bound.value.reload() }
        }
        router.book.refreshSeeds()
    }

    /// Two for each provider; those of providers that are gone end.
    private func policyWatches() -> [PolicyWatch] {
        let providers = router.providers
        return policies.withLock { policies in
            var kept: [ObjectIdentifier: [PolicyWatch]] = [:]
            for provider in providers {
                let key = ObjectIdentifier(provider)
                kept[key] = policies[key] ?? watches(of: provider)
            }
            policies = kept
            return kept.values.flatMap { $0 }
        }
    }

    private func watches(of provider: Provider) -> [PolicyWatch] {
        let source = PolicySource(path: provider.policyPath)
        return [
            PolicyWatch(source, channel: provider.channel, logger: router.logger) {
                [router] failure in
                router.expireAdmissions(of: provider, cutting: failure)
                router.refresh(provider)
            },
            PolicyWatch(source, channel: provider.control, logger: router.logger) { _ in },
        ]
    }

    func expireAdmissions(cutting failure: Failure?) { gateway.expireAdmissions(cutting: failure) }

    func drain(then done: @escaping @Sendable () -> Void) {
        gateway.drain(refusing: .draining, then: done)
    }

    func close() { main.withLock { $0 }?.bound.value.close() }

    func stop() {
        gateway.stop()
        workers.stop()
        router.book.stop()
        exporter.stop()
    }
}

/// What of a router runs on the main loop: its providers are found, watched and asked for facts.
final class RouterDesk {
    private let router: RouterState
    private let loop: EventLoop
    private var watches: [ObjectIdentifier: ProviderWatch] = [:]
    private var directory: ProviderDirectory?
    private let fetcher: FactsFetcher
    private var recovery: Recovery?

    init(_ router: RouterState, on loop: EventLoop) {
        self.router = router
        self.loop = loop
        fetcher = FactsFetcher(router, on: loop)
    }

    func start() {
        let bound = LoopBound(self)
        let mailbox = loop.mailbox
        router.whenAsked { provider in
            mailbox.post { bound.value.watches[ObjectIdentifier(provider)]?.ask() }
        } fetch: { question in
            mailbox.post { bound.value.fetcher.ask(question) }
        }
        directory = ProviderDirectory(
            on: loop, kubernetes: router.settings.kubernetes, logger: router.logger
        ) { [unowned self] in self.take($0) }
        reload()
        recovery = Recovery(router, on: loop)
    }

    func reload() { directory?.take(router.file.providers) }

    private func take(_ places: [ProviderPlace]) {
        router.take(places)
        let now = router.providers
        for (key, watch) in watches where !now.contains(where: { ObjectIdentifier($0) == key }) {
            watch.close()
            watches[key] = nil
        }
        for provider in now where watches[ObjectIdentifier(provider)] == nil {
            watches[ObjectIdentifier(provider)] = ProviderWatch(provider, router, on: loop)
        }
    }

    func close() {
        for watch in watches.values { watch.close() }
        watches = [:]
        directory?.close()
        fetcher.close()
        recovery?.close()
    }
}

/// Bills what was under way when an earlier process of this router ended: its providers signed the
/// facts of it, and are asked for them once they are admitted.
final class Recovery {
    private let router: RouterState
    private let loop: EventLoop
    private var timer: LoopTimer?
    private var left: [(pending: Ledger.Pending, offer: SignedStatement?)] = []
    private var tries = 0

    /// Tries, two seconds apart: providers are admitted within a minute, or have new keys.
    private static let maxTries = 60

    init(_ router: RouterState, on loop: EventLoop) {
        self.router = router
        self.loop = loop
        let (bound, mailbox) = (LoopBound(self), loop.mailbox)
        let began = System.nowMilliseconds
        router.book.desk.run { (ledger) throws(LedgerError) in
            var found: [(Ledger.Pending, SignedStatement?)] = []
            for pending in try ledger.pending() where pending.started < began {
                var offer: SignedStatement?
                if let digest = pending.offer { offer = try ledger.offer(digest) }
                found.append((pending, offer))
            }
            return found
        } then: { outcome in
            guard case .success(let found) = outcome, !found.isEmpty else { return }
            mailbox.post { bound.value.begin(found) }
        }
    }

    func close() {
        timer?.close()
        timer = nil
    }

    private func begin(_ found: [(Ledger.Pending, SignedStatement?)]) {
        left = found.map { (pending: $0.0, offer: $0.1) }
        router.logger.notice(
            "requests were under way when this router ended", metadata: ["count": "\(left.count)"])
        let timer = LoopTimer(on: loop) { [unowned self] in self.look() }
        timer.start(after: 100, every: 2_000)
        timer.detach()
        self.timer = timer
    }

    private func look() {
        tries += 1
        let providers = router.providers
        let isLast = tries >= Recovery.maxTries
        let areAllKnown = providers.allSatisfy { $0.now.lastAsked > 0 }
        left.removeAll { pending, offer in
            guard let offer else {
                abandon(pending)
                return true
            }
            let key = Digest.sha256(offer.key)
            let signer = providers.first { $0.now.admission?.receiptKey == key }
            if let signer {
                router.fetch(
                    FactsQuestion(
                        pending: pending, provider: signer, offer: offer, measured: nil))
                return true
            }
            // Its key is gone with its process, and what it would have signed.
            guard isLast || areAllKnown && tries > 5 else { return false }
            abandon(pending)
            return true
        }
        if left.isEmpty { close() }
    }

    private func abandon(_ pending: Ledger.Pending) {
        router.settle(
            pending.failed(at: System.nowMilliseconds), model: "", nil, nil)
    }
}
