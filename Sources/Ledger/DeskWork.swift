internal import Loop
internal import Receipts

/// What a desk's thread does, and what it keeps from one commit to the next.
final class DeskWork {
    private let open: @Sendable () throws(LedgerError) -> Ledger
    private let inbox: Inbox<DeskOrder>
    private let answers: DeskAnswers
    private var ledger: Ledger?
    /// What ended and could not be written, oldest first.
    private var unwritten: [Ledger.Entry] = []
    /// What may have begun though its caller was told that it failed: ids, and when.
    private var doubtful: [String: Int64] = [:]
    private var failure: (error: LedgerError, retry: UInt64, delay: UInt64)?

    private typealias Begin = (
        pending: Ledger.Pending, then: @Sendable (Result<Ledger.Admission, LedgerError>) -> Void
    )
    private typealias Finish = (
        entry: Ledger.Entry, then: @Sendable (Result<SignedStatement, LedgerError>) -> Void
    )

    /// The first and the longest wait between two tries, in milliseconds: a database that restarts
    /// is back within seconds.
    private static let delays: (first: UInt64, last: UInt64) = (50, 5_000)
    /// How long what waits is tried to be written at the end.
    private static let patience: UInt64 = 10_000

    init(
        _ open: @escaping @Sendable () throws(LedgerError) -> Ledger, _ inbox: Inbox<DeskOrder>,
        _ answers: DeskAnswers
    ) {
        self.open = open
        self.inbox = inbox
        self.answers = answers
    }

    /// Works until the inbox is closed and empty.
    func run() {
        while let orders = inbox.take(atMost: Ledger.maxBatch, waiting: wait) {
            work(orders)
            inbox.hold(unwritten.count + doubtful.count)
        }
        let end = System.uptimeMilliseconds + DeskWork.patience
        while !isEmpty, System.uptimeMilliseconds < end {
            System.sleep(milliseconds: UInt32(wait ?? 0))
            work([])
        }
    }

    private var isEmpty: Bool { unwritten.isEmpty && doubtful.isEmpty }

    /// Milliseconds until it is tried again; nil where there is nothing to try.
    private var wait: Int64? {
        guard !isEmpty, let failure else { return nil }
        return Int64(failure.retry - min(failure.retry, System.uptimeMilliseconds))
    }

    private func work(_ orders: [DeskOrder]) {
        if let failure, System.uptimeMilliseconds < failure.retry {
            return refuse(orders[...], failure.error)
        }
        var rest = orders[...]
        do throws(LedgerError) {
            let ledger = try opened()
            try catchUp(ledger)
            while !rest.isEmpty { try next(&rest, ledger) }
            failure = nil
        } catch {
            fail(error)
            refuse(rest, error)
        }
    }

    private func opened() throws(LedgerError) -> Ledger {
        if let ledger { return ledger }
        let made = try open()
        ledger = made
        return made
    }

    /// Does what is first of `rest`, and takes it away: a job, or all that is before the next one.
    private func next(
        _ rest: inout ArraySlice<DeskOrder>, _ ledger: Ledger
    ) throws(LedgerError) {
        var (begins, finishes): ([Begin], [Finish]) = ([], [])
        var count = 0
        loop: for order in rest {
            switch order {
            case .begin(let pending, let then): begins.append((pending, then))
            case .finish(let entry, let then): finishes.append((entry, then))
            case .job(let job):
                guard count == 0 else { break loop }
                rest.removeFirst()
                if let error = job(.success(ledger)), error.code == .unavailable { throw error }
                return
            }
            count += 1
        }
        do throws(LedgerError) {
            try commit(begins, finishes, ledger)
        } catch  where error.code == .unavailable {
            for begin in begins { doubtful[begin.pending.id] = begin.pending.started }
            throw error
        } catch  where count == 1 {
            answer(begins.map(\.then), .failure(error))
            answer(finishes.map(\.then), .failure(error))
        } catch {
            // One of them cannot be written: it must not hold up the others.
            var alone = rest.prefix(count).map { [$0][...] }[...]
            while var one = alone.popFirst() {
                try next(&one, ledger)
                rest.removeFirst()
            }
            return
        }
        rest.removeFirst(count)
    }

    private func commit(
        _ begins: [Begin], _ finishes: [Finish], _ ledger: Ledger
    ) throws(LedgerError) {
        let accounts = begins.map(\.pending.account) + finishes.map(\.entry.receipt.account)
        let (statements, admissions) = try ledger.write(accounts: accounts) {
            () throws(LedgerError) in
            // What ends first: it frees what the others reserve.
            (try ledger.append(finishes.map(\.entry)), try ledger.begin(begins.map(\.pending)))
        }
        answers.post {
            for (finish, statement) in zip(finishes, statements) {
                finish.then(.success(statement))
            }
            for (begin, admission) in zip(begins, admissions) { begin.then(.success(admission)) }
        }
    }

    private func answer<Answer: Sendable>(
        _ all: [@Sendable (Result<Answer, LedgerError>) -> Void],
        _ result: Result<Answer, LedgerError>
    ) {
        answers.post { for then in all { then(result) } }
    }

    // MARK: Failure

    private func fail(_ error: LedgerError) {
        ledger = nil
        let delay = min(failure.map { $0.delay * 2 } ?? DeskWork.delays.first, DeskWork.delays.last)
        failure = (error, System.uptimeMilliseconds + delay, delay)
    }

    private func refuse(_ orders: ArraySlice<DeskOrder>, _ error: LedgerError) {
        for order in orders {
            switch order {
            case .begin(_, let then): answer([then], .failure(error))
            case .finish(let entry, let then):
                unwritten.append(entry)
                answer([then], .failure(error))
            case .job(let job): _ = job(.failure(error))
            }
        }
    }

    /// Writes what ended while the database failed, and ends what nobody was told had begun.
    private func catchUp(_ ledger: Ledger) throws(LedgerError) {
        while !unwritten.isEmpty {
            let batch = Array(unwritten.prefix(Ledger.maxBatch))
            do throws(LedgerError) {
                _ = try ledger.append(batch)
            } catch  where error.code != .unavailable {
                for entry in batch {
                    do throws(LedgerError) {
                        _ = try ledger.append([entry])
                    } catch  where error.code == .unavailable {
                        throw error
                    } catch {
                        // Whoever sent it was told that it is not written; it stays pending.
                    }
                }
            }
            unwritten.removeFirst(batch.count)
        }
        for (id, time) in doubtful {
            try ledger.abandon(id, at: time)
            doubtful[id] = nil
        }
    }
}
