internal import Bytes
internal import Loop
internal import RATLS
internal import RATS
internal import Streams

/// Runs quotes one at a time, callers in turn, off every event loop.
final class QuoteQueue: Sendable {
    /// Jobs that may wait: at 1 s a quote, the slowest platform known, the 10 s of an exchange pass
    /// ten of them; TPMs take 1 to 100 ms. More would only wait in vain.
    private static let capacity = 256
    /// Jobs of one address that may wait: the last quarter is for others, since anybody may ask.
    private static let capacityOfCaller = 192
    /// The address that this process's own work counts under.
    private static let own = ""

    private struct Entry: Sendable {
        let isWanted: @Sendable () -> Bool
        let run: @Sendable () -> Void
    }

    /// How long quotes took.
    let times = Histogram()
    /// Why the last quote failed; nil when it did not.
    private let lastFailure = Locked<Refusal?>(nil)
    private let waiting = Locked(FairQueue<Entry>())
    // One wake-up for each entry: it never refuses one that the queue took.
    private let thread = JobThread(capacity: QuoteQueue.capacity)

    /// Runs `job` for the caller at `address` and hands its outcome to `completion` on the loop of
    /// `mailbox`; drops it when `isWanted` says, at its turn, that nobody waits for it any more.
    func submit(
        _ job: QuoteJob, of address: String, isWanted: @escaping @Sendable () -> Bool,
        to mailbox: Mailbox,
        then completion: @escaping @Sendable (Result<QuoteJob.Outcome, Refusal>) -> Void
    ) {
        let isAccepted = enqueue(of: address, isWanted: isWanted) { [self] in
            let outcome = timed { job.run() }
            // What a peer asks to be opened may be nonsense; that says nothing about this machine.
            if job.isQuote { note(outcome) }
            mailbox.post { completion(outcome) }
        }
        guard !isAccepted else { return }
        completion(
            .failure(
                Refusal(
                    "attester.busy", .attestation, field: "quotes that wait",
                    expected: "at most \(QuoteQueue.capacity)", got: "more",
                    remedy: "try again in a second")))
    }

    /// Runs other work of the Attester in its turn, a new leaf certificate for example.
    func submit(_ work: @escaping @Sendable () throws(Refusal) -> Void) {
        _ = enqueue(of: QuoteQueue.own, isWanted: { true }) { [self] in
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

    /// Why the last quote failed; nil when it did not.
    var trouble: Refusal? { lastFailure.withLock { $0 } }

    private func enqueue(
        of caller: String, isWanted: @escaping @Sendable () -> Bool,
        _ run: @escaping @Sendable () -> Void
    ) -> Bool {
        waiting.withLock { waiting in
            guard waiting.count < QuoteQueue.capacity,
                waiting.count(of: caller) < QuoteQueue.capacityOfCaller,
                thread.submit({ [self] in runNext() })
            else { return false }
            waiting.append(Entry(isWanted: isWanted, run: run), of: caller)
            return true
        }
    }

    private func runNext() {
        guard let entry = waiting.withLock({ $0.popFirst() }), entry.isWanted() else { return }
        entry.run()
    }

    private func note<Product>(_ outcome: Result<Product, Refusal>) {
        if case .failure(let refusal) = outcome {
            lastFailure.withLock { $0 = refusal }
        } else {
            lastFailure.withLock { $0 = nil }
        }
    }

    private func timed<Product>(
        _ work: () -> Result<Product, Refusal>
    ) -> Result<Product, Refusal> {
        let began = System.uptime
        let outcome = work()
        times.observe((System.uptime - began) / 1_000_000)
        return outcome
    }
}
