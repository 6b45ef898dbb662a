internal import Loop
internal import RATLS
internal import RATS
internal import Streams

/// Runs quotes one at a time, in the order asked, off every event loop.
final class QuoteQueue: Sendable {
    /// Jobs that may wait: at 1 s a quote, the slowest platform known, the 10 s of an exchange pass
    /// ten of them; TPMs take 1 to 100 ms. More would only wait in vain.
    private static let capacity = 256

    /// How long quotes took.
    let times = Histogram()
    private let thread = JobThread(capacity: QuoteQueue.capacity)

    /// Runs `job` and hands its outcome to `completion` on the loop of `mailbox`.
    func submit(
        _ job: QuoteJob, to mailbox: Mailbox,
        then completion: @escaping @Sendable (Result<QuoteJob.Outcome, Refusal>) -> Void
    ) {
        let isAccepted = thread.submit { [times] in
            let began = System.uptime
            let outcome = job.run()
            times.observe((System.uptime - began) / 1_000_000)
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
}
