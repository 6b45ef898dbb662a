internal import Logging
internal import Loop
internal import Streams

/// How a service ends: readiness first, then the streams, then the process.
///
/// SIGTERM and SIGINT begin it, and a second one ends at once; `GET /drain` begins it too and is
/// answered when the streams have ended. Kubernetes stops the containers of a pod in an order that
/// a proxy cannot choose: the backend's preStop hook asks for this, and so the backend lives until
/// its last answer is out.
///
/// The hook runs as well when a probe has the kubelet restart the backend alone, and then no signal
/// follows. What has drained takes nothing any more, so it ends in a while by itself: whoever keeps
/// it running starts one that serves.
final class ServiceEnd {
    private enum Phase {
        case serving
        /// Readiness is false, and connections are still taken.
        case delaying
        case draining
        /// Nothing is under way, or what was has had its time.
        case over(isClean: Bool)
    }

    private let operation: any Operation
    private let logger: Logger
    private let settings: GatewaySettings
    private let loop: EventLoop
    /// Ends the process with a status.
    private let end: (Int32) -> Void
    private var phase = Phase.serving
    /// Whether a signal came: then the process ends with the drain.
    private var isSignalled = false
    private var timers: [LoopTimer] = []
    private var waiting: [LocalReply] = []

    init(
        of operation: any Operation, _ settings: GatewaySettings, logger: Logger,
        on loop: EventLoop, end: @escaping (Int32) -> Void
    ) {
        self.operation = operation
        self.settings = settings
        self.logger = logger
        self.loop = loop
        self.end = end
    }

    /// Gives up what runs on the loop.
    func close() {
        for timer in timers { timer.close() }
        timers = []
        waiting = []
    }

    /// SIGTERM or SIGINT.
    func didReceiveSignal() {
        if isSignalled {
            logger.warning("second signal: ending at once")
            return end(1)
        }
        isSignalled = true
        if case .over(let isClean) = phase { return end(ServiceEnd.status(isClean)) }
        begin()
    }

    /// `GET /drain`: answers once nothing is under way.
    func didReceiveRequest(_ reply: LocalReply) {
        if case .over(let isClean) = phase { return answer(reply, isClean) }
        // As many as the admin listener has connections.
        waiting.append(reply)
        begin()
    }

    /// Milliseconds that a request for it may have to wait.
    static func longest(_ settings: GatewaySettings) -> UInt64 {
        settings.drainDelay + settings.grace
    }

    private func begin() {
        guard case .serving = phase else { return }
        phase = .delaying
        operation.status.setDraining()
        logger.notice(
            "draining",
            metadata: ["delay_ms": "\(settings.drainDelay)", "grace_ms": "\(settings.grace)"])
        guard settings.drainDelay > 0 else { return drain() }
        after(settings.drainDelay) { [unowned self] in self.drain() }
    }

    private func drain() {
        phase = .draining
        let bound = LoopBound(self)
        let mailbox = loop.mailbox
        operation.drain {
            mailbox.post { bound.value.didDrain(isClean: true) }
        }
        after(settings.grace) { [unowned self] in self.didDrain(isClean: false) }
    }

    private func didDrain(isClean: Bool) {
        guard case .draining = phase else { return }
        phase = .over(isClean: isClean)
        if isClean {
            logger.notice("drained")
        } else {
            logger.warning("grace period is over: closing what is left")
        }
        let asked = waiting
        waiting = []
        for reply in asked { answer(reply, isClean) }
        guard isSignalled else { return awaitSignal() }
        let status = ServiceEnd.status(isClean)
        guard !asked.isEmpty else { return end(status) }
        after(ServiceEnd.reading) { [unowned self] in self.end(status) }
    }

    /// Ends in order where no signal does: what asked for the drain wanted no end of this process,
    /// and its status is no failure.
    private func awaitSignal() {
        after(max(settings.drainEnd, ServiceEnd.reading)) { [unowned self] in
            self.logger.notice(
                "no signal followed the drain: ending, to be started anew",
                metadata: ["drain_end_ms": "\(self.settings.drainEnd)"])
            self.end(0)
        }
    }

    /// Milliseconds within which whoever asked over loopback or from the node reads its answer.
    private static let reading: UInt64 = 100

    /// What the process ends with after a signal, whichever came first, that or the drain.
    private static func status(_ isClean: Bool) -> Int32 { isClean ? 0 : 1 }

    private func answer(_ reply: LocalReply, _ isClean: Bool) {
        if isClean {
            reply.send(
                status: 200, contentType: "text/plain; charset=utf-8", body: Array("drained\n".utf8)
            )
        } else {
            reply.refuse(.graceOver(settings.grace))
        }
    }

    private func after(_ milliseconds: UInt64, _ act: @escaping () -> Void) {
        let timer = LoopTimer(on: loop, act)
        timer.start(after: milliseconds)
        timers.append(timer)
    }
}

extension Failure {
    /// What requests hear that come while a service ends.
    static let draining = Failure(
        status: 503, code: "draining", message: "this server is ending and begins no request",
        stage: "connect",
        remedy: "try again: another replica takes it, or this one's successor", retryAfter: 1)

    fileprivate static func graceOver(_ grace: UInt64) -> Failure {
        Failure(
            status: 504, code: "drain.grace", message: "the grace period is over",
            stage: "response", expected: "every stream to end within \(grace) ms",
            got: "some that go on", remedy: "raise --grace")
    }
}
