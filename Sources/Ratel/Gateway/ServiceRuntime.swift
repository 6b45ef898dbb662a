internal import HTTP
internal import Logging
internal import Loop
internal import RATLS
internal import RATS
internal import Streams

/// Runs one operation until it is told to stop: admin listener, readiness, rotation, signals.
///
/// How it ends is `ServiceEnd`'s.
final class ServiceRuntime {
    private let operation: any Operation
    private let logger: Logger
    private let settings: GatewaySettings
    private let admin: AdminSettings
    /// The disk is not for event loops.
    private let housekeeping = JobThread(capacity: 8)
    private let loop = EventLoop(bufferCount: 64)
    private var timers: [LoopTimer] = []
    private var watchers: [SignalWatcher] = []
    private var adminListener: StreamListener?
    private var exitStatus: Int32 = 0
    private lazy var ending = ServiceEnd(of: operation, settings, logger: logger, on: loop) {
        [unowned self] status in
        self.exitStatus = status
        self.end()
    }

    init(
        _ operation: any Operation, _ settings: GatewaySettings, logger: Logger,
        admin: AdminSettings
    ) {
        self.operation = operation
        self.settings = settings
        self.logger = logger
        self.admin = admin
    }

    /// Serves until the end; answers the exit status. Throws when an address cannot be had.
    func run() throws(ConfigurationError) -> Int32 {
        System.ignoreBrokenPipes()
        System.raiseDescriptorLimit()
        try operation.start(on: loop)
        operation.status.set(listening: nil)
        try startAdmin()
        watchSignals()
        rotateKeys()
        watchEvidence()
        watchPolicies()
        watchCollateral()
        watchSuspension()
        eraseKeys()
        trimHeap()
        for (name, address) in operation.addresses {
            logger.notice("listening", metadata: ["\(name)": "\(address)"])
        }
        loop.run()
        operation.stop()
        return exitStatus
    }

    private func startAdmin() throws(ConfigurationError) {
        guard let address = admin.address else { return }
        let service = AdminService(status: operation.status)
        if admin.drains {
            service.drains(within: ServiceEnd.longest(settings)) { [unowned self] in
                self.ending.didReceiveRequest($0)
            }
        }
        do {
            let listener = try StreamListener(
                on: loop, address: address, service: service,
                // An operator, a scraper and two probes, with room for a person's mistakes.
                maximumConnections: 32)
            adminListener = listener
            logger.notice("admin", metadata: ["address": "\(listener.address)"])
        } catch {
            operation.close()
            operation.stop()
            throw ConfigurationError("cannot listen at --admin \(address): \(error)")
        }
    }

    private func watchSignals() {
        for signal in [System.terminate, System.interrupt] {
            watchers.append(
                SignalWatcher(signal, on: loop) { [unowned self] in self.ending.didReceiveSignal() }
            )
        }
        watchers.append(
            SignalWatcher(System.hangUp, on: loop) { [unowned self] in
                self.checkFiles(isAsked: true)
            })
    }

    private func checkFiles(isAsked: Bool) {
        let bound = LoopBound(operation)
        let isTaken = housekeeping.submit { bound.value.check(isAsked: isAsked) }
        if isAsked, !isTaken {
            logger.warning("the files are being read already: send the signal once more")
        }
    }

    /// Looks each second: Kubernetes swaps a ConfigMap's files under a link, which has no event of
    /// the file itself. Reading a policy takes about a millisecond.
    private func watchPolicies() {
        every(1_000) { [unowned self] in self.checkFiles(isAsked: false) }
    }

    /// Refreshes collateral before it expires.
    private func watchCollateral() {
        every(60_000) { [unowned self] in
            for store in self.operation.channels.compactMap(\.appraisals.store) {
                _ = self.housekeeping.submit { store.tick() }
            }
        }
    }

    private func end() {
        ending.close()
        for timer in timers { timer.close() }
        timers = []
        for watcher in watchers { watcher.close() }
        watchers = []
        operation.close()
        adminListener?.stop()
        adminListener = nil
        loop.mailbox.close()
    }

    /// A new leaf at two thirds of the old one's life.
    private func rotateKeys() {
        let period = UInt64(ChannelIdentity.lifetime) * 1_000 * 2 / 3
        every(period) { [unowned self] in
            for channel in self.operation.channels {
                channel.quotes.submit(channel.identity.rotate)
            }
        }
    }

    /// While quotes fail, tries one of its own, so that readiness returns without a caller.
    private func watchEvidence() {
        var last: String?
        every(1_000) { [unowned self] in
            let trouble = self.troubles.first?.description
            self.operation.status.set(evidence: trouble)
            if trouble != last {
                if let trouble {
                    self.logger.error("no evidence", metadata: ["why": "\(trouble)"])
                } else {
                    self.logger.notice("evidence is back")
                }
                last = trouble
            }
        }
        every(5_000) { [unowned self] in
            for channel in self.operation.channels where channel.quotes.trouble != nil {
                channel.quotes.submit(channel.identity.rotate)
            }
        }
        operation.status.set(evidence: nil)
    }

    private var troubles: [Refusal] { operation.channels.compactMap(\.quotes.trouble) }

    /// The loops' clock stands still while the machine is suspended, and admissions age all the
    /// same (protocol.md, "Leases"): after a suspension every one is over.
    private func watchSuspension() {
        var ahead = aheadOfLoop
        every(1_000) { [unowned self] in
            let present = self.aheadOfLoop
            // The loop's time was old when this began, by what came before its first wait.
            ahead = min(ahead, present)
            // Two seconds: the loop's own time is as old as its last wait.
            if present > ahead + 2_000 {
                // Bytes may flow for 10 s past an age, and it may be as much older than it seems.
                let isLong = present - ahead > Int64(AdmissionTerm.grace)
                self.logger.notice(
                    "the machine was suspended: every admission is over",
                    metadata: [
                        "seconds": "\((present - ahead) / 1_000)",
                        "streams": "\(isLong ? "cut" : "end in their own time")",
                    ])
                self.operation.expireAdmissions(cutting: isLong ? .suspended : nil)
                ahead = present
            }
        }
    }

    /// By how many milliseconds the clock that counts suspensions is ahead of the loops'; a time
    /// namespace (time_namespaces(7)) may have set it behind.
    private var aheadOfLoop: Int64 { Int64(System.uptimeMilliseconds) - Int64(loop.now) }

    private func eraseKeys() {
        every(1_000) { [unowned self] in
            for channel in self.operation.channels { channel.identity.bindingKeys.erase() }
        }
    }

    /// glibc keeps what handshakes freed; after a storm of connections it is given back.
    ///
    /// After it only: trimming stops every thread that allocates for some milliseconds. 1,000
    /// handshakes leave some 50 MiB at most.
    private func trimHeap() {
        var (trimmed, last) = (0, 0)
        every(1_000) { [unowned self] in
            let changes = self.operation.connectionChanges
            // Those of listeners that are gone count no more.
            trimmed = min(trimmed, changes)
            let isCalm = changes - last < 100
            last = changes
            guard isCalm, changes - trimmed >= 1_000 else { return }
            trimmed = changes
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

extension Failure {
    fileprivate static let suspended = Failure(
        status: 502, code: "admission.suspended",
        message: "the machine was suspended, and what its peers attested is too old",
        stage: "attestation", expected: "at most 10 s past max_age",
        got: "a clock that stood still", remedy: "connect again")
}
