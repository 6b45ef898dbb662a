internal import Bytes
internal import Loop
internal import RATLS
internal import RATS
internal import Streams

/// Runs quotes one at a time, off every event loop: challenges that come while one runs share the
/// next (`protocol.md`, Batching).
final class QuoteQueue: Sendable {
    /// How much, how often and how long.
    struct Limits {
        /// Challenges that may wait: those of two quotes of a second each at 5,000 handshakes a
        /// second, which is more than two cores make, and some 1 KiB each.
        var capacity = 16_384
        /// Challenges of one host that may wait: the last quarter is for others, since anybody
        /// may ask.
        var capacityOfCaller = 12_288
        /// Milliseconds for each quote, and quotes that may come at once after a rest: 20 a second
        /// and 20 (`protocol.md`, Batching). More would help nobody, since all who wait share one.
        var interval: UInt64 = 50
        var burst: UInt64 = 20
        /// Milliseconds that the hardware may take: an exchange has 10 s, and may have to wait for
        /// one quote before its own.
        var deadline: UInt64 = 5_000
        /// Calls that may hang at once: each keeps a thread, and a device that hung four times is
        /// broken.
        var hanging = 4
        /// Milliseconds before the next quote after a failure, doubled with each, and their most.
        var backOff: UInt64 = 100
        var longestBackOff: UInt64 = 2_000
    }

    private struct Challenge: Sendable {
        let job: QuoteJob
        let caller: [UInt8]
        let isWanted: @Sendable () -> Bool
        let deliver: @Sendable (Result<QuoteJob.Outcome, Refusal>) -> Void
    }

    private struct State {
        /// Oldest first.
        var challenges: [Challenge] = []
        var byCaller: [[UInt8]: Int] = [:]
        /// Other work of the Attester, which shares nothing.
        var errands: [@Sendable () -> Void] = []
        var isWorking = false
        /// Whether a credential was opened since the last quote, and for whom the last one was.
        var isQuotesTurn = false
        var lastOpened: [UInt8]?
        /// Threads that call the Attester; one, and one more for each call that hangs.
        var runners: [JobThread] = []
        var hanging = 0
        var failures: UInt64 = 0
        /// Milliseconds of rest that no quote has used, and when that was so.
        var credit: UInt64
        var creditedAt: UInt64
        var notBefore: UInt64 = 0
        var lastFailure: Refusal?
    }

    /// How long quotes took.
    let times = Histogram()
    /// Quotes that were taken, and connections that they served.
    let quotes = Counter()
    let served = Counter()

    private let limits: Limits
    private let state: Locked<State>
    private let thread = JobThread(capacity: 1)

    init(_ limits: Limits = Limits()) {
        self.limits = limits
        state = Locked(
            State(credit: limits.burst * limits.interval, creditedAt: System.uptimeMilliseconds))
    }

    /// Runs `job` for the caller on `host` and hands its outcome to `completion` on the loop of
    /// `mailbox`; drops it when `isWanted` says, at its turn, that nobody waits for it any more.
    func submit(
        _ job: QuoteJob, of host: [UInt8], isWanted: @escaping @Sendable () -> Bool,
        to mailbox: Mailbox,
        then completion: @escaping @Sendable (Result<QuoteJob.Outcome, Refusal>) -> Void
    ) {
        let challenge = Challenge(job: job, caller: host, isWanted: isWanted) { outcome in
            mailbox.post { completion(outcome) }
        }
        let isAccepted = state.withLock { state in
            guard state.challenges.count < limits.capacity,
                state.byCaller[host, default: 0] < limits.capacityOfCaller
            else { return false }
            state.challenges.append(challenge)
            state.byCaller[host, default: 0] += 1
            return true
        }
        guard isAccepted else {
            return completion(
                .failure(
                    Refusal(
                        "attester.busy", .attestation, field: "challenges that wait",
                        expected:
                            "at most \(limits.capacity), \(limits.capacityOfCaller) of one host",
                        got: "more", remedy: "try again in a second")))
        }
        work()
    }

    /// Runs other work of the Attester in its turn, a new leaf certificate for example.
    func submit(_ work: @escaping @Sendable () throws(Refusal) -> Void) {
        state.withLock { state in
            state.errands.append { [self] in
                note(
                    timed { () -> Result<Void, Refusal> in
                        do throws(Refusal) {
                            return .success(try work())
                        } catch {
                            return .failure(error)
                        }
                    })
            }
        }
        self.work()
    }

    /// Why the last quote failed; nil when it did not.
    var trouble: Refusal? { state.withLock { $0.lastFailure } }

    /// How many challenges wait.
    var waiting: Int { state.withLock { $0.challenges.count } }

    // MARK: The thread

    private func work() {
        let isNeeded = state.withLock { state in
            defer { state.isWorking = true }
            return !state.isWorking
        }
        if isNeeded { _ = thread.submit { [self] in workOff() } }
    }

    private func workOff() {
        while true {
            switch state.withLock({ next(&$0) }) {
            case .rest: return
            case .pause(let milliseconds): System.sleep(milliseconds: UInt32(milliseconds))
            case .errand(let errand):
                guard call({ errand() }) == nil else { break }
                note(Result<Void, Refusal>.failure(.attesterHung(limits)))
            case .activate(let challenge):
                // What a peer asks to be opened may be nonsense; that says nothing of this machine.
                let outcome = call { challenge.job.run() } ?? .failure(.attesterHung(limits))
                challenge.deliver(outcome)
            case .quote(let batch): quote(batch)
            }
        }
    }

    private enum Next {
        case rest
        case pause(UInt64)
        case errand(@Sendable () -> Void)
        case activate(Challenge)
        case quote([Challenge])
    }

    private func next(_ state: inout State) -> Next {
        if !state.errands.isEmpty { return .errand(state.errands.removeFirst()) }
        let first = state.challenges.first { $0.job.isQuote && $0.isWanted() }
        let wait = first == nil ? .max : pause(&state)
        // A credential waits for no quote's time, but for its turn: each is of one peer alone.
        if wait > 0 || !state.isQuotesTurn, let challenge = takeCredential(&state) {
            state.isQuotesTurn = true
            return .activate(challenge)
        }
        guard let first else {
            state.challenges = []
            state.byCaller = [:]
            state.isWorking = false
            return .rest
        }
        // Short naps: a credential may come.
        if wait > 0 { return .pause(min(wait, 50)) }
        state.isQuotesTurn = false
        var batch: [Challenge] = []
        var others: [Challenge] = []
        for challenge in state.challenges {
            if !challenge.isWanted() {
                leave(challenge, &state)
            } else if batch.count < MerkleTree.maxLeaves, first.job.sharesQuote(with: challenge.job)
            {
                leave(challenge, &state)
                batch.append(challenge)
            } else {
                others.append(challenge)
            }
        }
        state.challenges = others
        state.credit -= limits.interval
        return .quote(batch)
    }

    /// The oldest credential of another caller than the last one's, or of the same.
    private func takeCredential(_ state: inout State) -> Challenge? {
        func place(_ isFit: (Challenge) -> Bool) -> Int? {
            state.challenges.firstIndex { !$0.job.isQuote && isFit($0) && $0.isWanted() }
        }
        guard let place = place({ $0.caller != state.lastOpened }) ?? place({ _ in true })
        else { return nil }
        let challenge = state.challenges.remove(at: place)
        leave(challenge, &state)
        state.lastOpened = challenge.caller
        return challenge
    }

    private func leave(_ challenge: Challenge, _ state: inout State) {
        let left = state.byCaller[challenge.caller, default: 1] - 1
        state.byCaller[challenge.caller] = left > 0 ? left : nil
    }

    /// Milliseconds before the next quote may begin.
    private func pause(_ state: inout State) -> UInt64 {
        let now = System.uptimeMilliseconds
        let rested = now - state.creditedAt
        state.credit = min(limits.burst * limits.interval, state.credit + rested)
        state.creditedAt = now
        if now < state.notBefore { return state.notBefore - now }
        return limits.interval > state.credit ? limits.interval - state.credit : 0
    }

    private func quote(_ batch: [Challenge]) {
        let jobs = batch.map(\.job)
        let outcomes =
            call { [self] in timed { QuoteJob.run(jobs) } }
            ?? batch.map { _ in .failure(.attesterHung(limits)) }
        quotes.addShared(1)
        served.addShared(batch.count)
        if let outcome = outcomes.first { note(outcome) }
        for (challenge, outcome) in zip(batch, outcomes) { challenge.deliver(outcome) }
    }

    /// Calls the Attester on a thread that can be left behind; nil where it does not come back in
    /// time, or where too many calls have not.
    private func call<Outcome: Sendable>(
        _ work: @escaping @Sendable () -> Outcome
    ) -> Outcome? {
        let runner: JobThread? = state.withLock { state in
            guard state.hanging < limits.hanging else { return nil }
            return state.runners.popLast() ?? JobThread(capacity: 1)
        }
        guard let runner else { return nil }
        let gate = Gate<Outcome>()
        let isLate = Locked(false)
        let wasTaken = runner.submit { [self] in
            let outcome = work()
            isLate.withLock { isLate in
                gate.open(outcome)
                guard isLate else { return }
                state.withLock { state in
                    state.hanging -= 1
                    state.runners.append(runner)
                }
            }
        }
        precondition(wasTaken, "a runner has one job at a time")
        let outcome = gate.wait(milliseconds: limits.deadline)
        return isLate.withLock { isLate in
            // It may have come between the two.
            guard let outcome = outcome ?? gate.wait(milliseconds: 0) else {
                isLate = true
                state.withLock { $0.hanging += 1 }
                return nil
            }
            state.withLock { $0.runners.append(runner) }
            return outcome
        }
    }

    private func note<Product>(_ outcome: Result<Product, Refusal>) {
        state.withLock { state in
            guard case .failure(let refusal) = outcome else {
                state.lastFailure = nil
                state.failures = 0
                state.notBefore = 0
                return
            }
            state.lastFailure = refusal
            let wait = limits.backOff << min(state.failures, 16)
            state.failures += 1
            state.notBefore = System.uptimeMilliseconds + min(wait, limits.longestBackOff)
        }
    }

    private func timed<Product>(_ work: () -> Product) -> Product {
        let began = System.uptime
        let outcome = work()
        times.observe((System.uptime - began) / 1_000_000)
        return outcome
    }
}

extension Refusal {
    fileprivate static func attesterHung(_ limits: QuoteQueue.Limits) -> Refusal {
        Refusal(
            "attester.hung", .attestation, field: "quote",
            expected: "an answer within \(limits.deadline) ms", got: "none",
            remedy: "see whether the device answers (`ratel doctor`); it is tried again")
    }
}
