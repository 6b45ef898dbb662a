internal import Loop
internal import RATLS
internal import RATS
internal import Streams
internal import Synchronization

/// Runs quotes one at a time, in the order asked, off every event loop.
final class QuoteQueue: Sendable {
    /// Jobs that may wait: at 1 s a quote, the slowest platform known, the 10 s of an exchange pass
    /// ten of them; TPMs take 1 to 100 ms. More would only wait in vain.
    private static let capacity = 256

    /// How long quotes took.
    let times = Histogram()
    /// Why the last quote failed; nil when it did not.
    private let lastFailure = Mutex<Refusal?>(nil)
    private let thread = JobThread(capacity: QuoteQueue.capacity)

    /// Runs `job` and hands its outcome to `completion` on the loop of `mailbox`.
    func submit(
        _ job: QuoteJob, to mailbox: Mailbox,
        then completion: @escaping @Sendable (Result<QuoteJob.Outcome, Refusal>) -> Void
    ) {
        let isAccepted = thread.submit { [self] in
            let outcome = timed { job.run() }
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
        _ = thread.submit { [self] in
            _ = timed { () -> Result<Void, Refusal> in
                do throws(Refusal) {
                    return .success(try work())
                } catch {
                    return .failure(error)
                }
            }
        }
    }

    /// Why the last quote failed; nil when it did not.
    var trouble: Refusal? { lastFailure.withLock { $0 } }

    private func timed<Product>(
        _ work: () -> Result<Product, Refusal>
    ) -> Result<Product, Refusal> {
        let began = System.uptime
        let outcome = work()
        times.observe((System.uptime - began) / 1_000_000)
        if case .failure(let refusal) = outcome {
            lastFailure.withLock { $0 = refusal }
        } else {
            lastFailure.withLock { $0 = nil }
        }
        return outcome
    }
}
