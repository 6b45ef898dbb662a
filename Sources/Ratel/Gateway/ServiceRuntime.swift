internal import HTTP
internal import Logging
internal import Loop
internal import RATS
internal import Streams

/// Runs one gateway until it is told to stop: admin listener, readiness, rotation, signals.
///
/// SIGTERM and SIGINT drain: no new connections, streams end in their own time up to the grace
/// period. A second one ends at once.
final class ServiceRuntime {
    private let gateway: Gateway
    private let channel: Channel
    private let status: ServiceStatus
    private let logger: Logger
    private let admin: Address?
    private let upstream: Address
    private let grace: UInt64
    private let policyWatch: PolicyWatch
    /// The disk is not for event loops.
    private let housekeeping = JobThread(capacity: 8)
    private let loop = EventLoop(bufferCount: 64)
    private var timers: [LoopTimer] = []
    private var watchers: [SignalWatcher] = []
    private var probe: BackendProbe?
    private var adminListener: StreamListener?
    private var isDraining = false
    private var exitStatus: Int32 = 0

    init(
        gateway: Gateway, channel: Channel, policy: PolicySource, logger: Logger, admin: Address?,
        upstream: Address, upstreamName: String, grace: UInt64
    ) {
        policyWatch = PolicyWatch(policy, channel: channel, gateway: gateway, logger: logger)
        self.gateway = gateway
        self.channel = channel
        self.logger = logger
        self.admin = admin
        self.upstream = upstream
        self.grace = grace
        status = ServiceStatus(
            gateway: gateway, channel: channel, policy: policyWatch, upstreamName: upstreamName)
    }

    /// Serves until the end; answers the exit status. Throws when an address cannot be had.
    func run() throws(ConfigurationError) -> Int32 {
        System.ignoreBrokenPipes()
        System.raiseDescriptorLimit()
        do {
            try gateway.start()
        } catch {
            throw ConfigurationError("cannot listen at \(gateway.address): \(error)")
        }
        status.set(listening: nil)
        try startAdmin()
        watchSignals()
        watchUpstream()
        rotateKeys()
        watchEvidence()
        watchPolicy()
        watchCollateral()
        trimHeap()
        logger.notice("listening", metadata: ["address": "\(gateway.address)"])
        loop.run()
        gateway.stop()
        return exitStatus
    }

    private func startAdmin() throws(ConfigurationError) {
        guard let admin else { return }
        do {
            let listener = try StreamListener(
                on: loop, address: admin, service: AdminService(status: status),
                // An operator, a scraper and two probes, with room for a person's mistakes.
                maximumConnections: 32)
            adminListener = listener
            logger.notice("admin", metadata: ["address": "\(listener.address)"])
        } catch {
            gateway.stop()
            throw ConfigurationError("cannot listen at --admin \(admin): \(error)")
        }
    }

    private func watchSignals() {
        for signal in [System.terminate, System.interrupt] {
            watchers.append(
                SignalWatcher(signal, on: loop) { [unowned self] in self.didReceiveSignal() })
        }
        watchers.append(
            SignalWatcher(System.hangUp, on: loop) { [unowned self] in
                self.checkPolicy(isAsked: true)
            })
    }

    private func checkPolicy(isAsked: Bool) {
        _ = housekeeping.submit { [policyWatch] in policyWatch.check(isAsked: isAsked) }
    }

    /// Looks each second: Kubernetes swaps a ConfigMap's files under a link, which has no event of
    /// the file itself. Reading a policy takes about a millisecond.
    private func watchPolicy() {
        every(1_000) { [unowned self] in self.checkPolicy(isAsked: false) }
    }

    /// Refreshes collateral before it expires.
    private func watchCollateral() {
        guard let store = channel.appraisals.store else { return }
        every(60_000) { [housekeeping] in _ = housekeeping.submit { store.tick() } }
    }

    private func didReceiveSignal() {
        guard !isDraining else {
            logger.warning("second signal: ending at once")
            exitStatus = 1
            return end()
        }
        isDraining = true
        status.setDraining()
        logger.notice("draining", metadata: ["grace_ms": "\(grace)"])
        let bound = LoopBound(self)
        let mailbox = loop.mailbox
        gateway.drain {
            mailbox.post { bound.value.didDrain() }
        }
        let timer = LoopTimer(on: loop) { [unowned self] in
            self.logger.warning("grace period is over: closing what is left")
            self.exitStatus = 1
            self.end()
        }
        timer.start(after: grace)
        timers.append(timer)
    }

    private func didDrain() {
        logger.notice("drained")
        end()
    }

    private func end() {
        for timer in timers { timer.close() }
        timers = []
        for watcher in watchers { watcher.close() }
        watchers = []
        probe?.close()
        probe = nil
        adminListener?.close()
        adminListener?.closeConnections()
        adminListener = nil
        loop.mailbox.close()
    }

    private func watchUpstream() {
        var last: String?? = .none
        probe = BackendProbe(upstream, on: loop) { [unowned self] trouble in
            self.status.set(upstream: trouble)
            if last != .some(trouble) {
                if let trouble {
                    self.logger.warning("upstream unreachable", metadata: ["why": "\(trouble)"])
                } else {
                    self.logger.info("upstream reachable")
                }
            }
            last = .some(trouble)
        }
    }

    /// A new leaf at two thirds of the old one's life.
    private func rotateKeys() {
        let period = UInt64(ChannelIdentity.lifetime) * 1_000 * 2 / 3
        every(period) { [channel] in channel.quotes.submit(channel.identity.rotate) }
    }

    /// While quotes fail, tries one of its own, so that readiness returns without a caller.
    private func watchEvidence() {
        var last: String?
        every(1_000) { [unowned self] in
            let trouble = self.channel.quotes.trouble
            self.status.set(evidence: trouble?.description)
            if trouble?.description != last {
                if let trouble {
                    self.logger.error("no evidence", metadata: ["why": "\(trouble)"])
                } else {
                    self.logger.notice("evidence is back")
                }
                last = trouble?.description
            }
        }
        every(5_000) { [channel] in
            guard channel.quotes.trouble != nil else { return }
            channel.quotes.submit(channel.identity.rotate)
        }
        status.set(evidence: nil)
    }

    /// glibc keeps what handshakes freed; after a storm of connections it is given back.
    ///
    /// Only then: trimming stops every thread that allocates for some milliseconds. 1,000
    /// handshakes leave some 50 MiB at most.
    private func trimHeap() {
        var trimmed = 0
        every(1_000) { [gateway] in
            let closed = gateway.metrics.reduce(0) { $0 + $1.accepted.now - $1.openConnections.now }
            guard closed - trimmed >= 1_000 else { return }
            trimmed = closed
            System.trimHeap()
        }
    }

    private func every(_ milliseconds: UInt64, _ act: @escaping () -> Void) {
        let timer = LoopTimer(on: loop, act)
        timer.start(after: milliseconds, every: milliseconds)
        timer.detach()
        timers.append(timer)
    }
}
