internal import Loop
public import Receipts

/// A ledger on a thread of its own, for the event loops that may not wait for a disk.
///
/// What waits is written in one commit, what ended before what begins; nothing is answered before
/// its commit. Answers come on another thread, one after the other, so that none of them holds up a
/// commit: what does more than post to a loop holds up the next.
///
/// Where the database fails, everything that waits is answered with the error, and so is what
/// comes until the next try, after 50 ms and then ever later, up to 5 s. A request that ended is
/// kept all the same and written as soon as that is possible, and one that began is ended then
/// where it was written after all; both count as waiting, so that a ledger that cannot be written
/// refuses requests instead of serving them for nothing.
public final class LedgerDesk: Sendable {
    /// How many may wait to begin: at three times the peak of the headline load, 650 requests a
    /// second that each begin and end, six seconds of a database that is away.
    public static let capacity = 8 * Ledger.maxBatch

    /// The ledger's (`Ledger.secret`).
    public let secret: [UInt8]
    private let inbox = Inbox<DeskOrder>()
    private let answers: DeskAnswers
    private let worker: Worker

    /// Starts the desk over the ledger that `open` opens: at once, so that what is not configured
    /// well shows, and again on the desk's thread and after each failure.
    public init(
        _ open: @escaping @Sendable () throws(LedgerError) -> Ledger
    ) throws(LedgerError) {
        secret = try open().secret
        let (inbox, answers) = (inbox, DeskAnswers())
        self.answers = answers
        worker = Worker { DeskWork(open, inbox, answers).run() }
    }

    /// Begins a request, or notes the next provider that it goes to (`Ledger.begin`).
    ///
    /// Errors: `unavailable`, `busy`, `closed`, `invalid`. The request must not be served then, and
    /// is begun anew with another id: where it was written after all, it is over soon.
    public func begin(
        _ pending: Ledger.Pending,
        then: @escaping @Sendable (Result<Ledger.Admission, LedgerError>) -> Void
    ) {
        leave(.begin(pending, then), LedgerDesk.capacity) { then(.failure($0)) }
    }

    /// Writes a request that is over (`Ledger.append`).
    ///
    /// Errors: `unavailable`: it is written later, and found by its id then; sending it twice does
    /// no harm. `invalid`: it cannot be written at all. `busy`, `closed`: it is pending until the
    /// next start finds it.
    public func finish(
        _ entry: Ledger.Entry,
        then: @escaping @Sendable (Result<SignedStatement, LedgerError>) -> Void
    ) {
        // As many may end as began.
        leave(.finish(entry, then), 2 * LedgerDesk.capacity) { then(.failure($0)) }
    }

    /// Calls `job` with the ledger on the desk's thread, between two commits.
    public func run<Answer: Sendable>(
        _ job: @escaping @Sendable (Ledger) throws(LedgerError) -> Answer,
        then: @escaping @Sendable (Result<Answer, LedgerError>) -> Void
    ) {
        let answers = answers
        let order = DeskOrder.job { ledger in
            let answer = ledger.flatMap { ledger in
                Result { () throws(LedgerError) in try job(ledger) }
            }
            answers.post { then(answer) }
            if case .failure(let error) = answer { return error }
            return nil
        }
        leave(order, LedgerDesk.capacity) { then(.failure($0)) }
    }

    /// Writes what waits and closes the ledger: at once as a rule, and after 10 s where the
    /// database fails, a third of what Kubernetes leaves a pod to end.
    public func stop() {
        inbox.close()
        worker.join()
        answers.stop()
    }

    // What is not taken in is answered on the caller's thread.
    private func leave(_ order: DeskOrder, _ capacity: Int, _ refuse: (LedgerError) -> Void) {
        switch inbox.put(order, capacity: capacity) {
        case .accepted: break
        case .full: refuse(LedgerError(.busy, "\(capacity) wait to be written"))
        case .closed: refuse(LedgerError(.closed, "it was stopped"))
        }
    }
}

/// One thing that a desk is to do.
enum DeskOrder: Sendable {
    case begin(Ledger.Pending, @Sendable (Result<Ledger.Admission, LedgerError>) -> Void)
    case finish(Ledger.Entry, @Sendable (Result<SignedStatement, LedgerError>) -> Void)
    /// Answers itself, and hands back what failed.
    case job(@Sendable (Result<Ledger, LedgerError>) -> LedgerError?)
}

/// The thread that tells what was written.
final class DeskAnswers: Sendable {
    private let inbox: Inbox<@Sendable () -> Void>
    private let worker: Worker

    init() {
        let inbox = Inbox<@Sendable () -> Void>()
        self.inbox = inbox
        worker = Worker {
            while let answers = inbox.take(atMost: Ledger.maxBatch, waiting: nil) {
                for answer in answers { answer() }
                inbox.hold(0)
            }
        }
    }

    /// What was taken in is answered: no limit of its own.
    func post(_ answer: @escaping @Sendable () -> Void) { _ = inbox.put(answer, capacity: .max) }

    func stop() {
        inbox.close()
        worker.join()
    }
}
