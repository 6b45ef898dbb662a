import Glibc
import Keys
import RATS
import Receipts
import Testing

@testable import Ledger

/// A ledger that a test lets fail, opened by a desk.
private final class Faults: @unchecked Sendable {
    private let mutex = Mutex()
    private var error: LedgerError?
    private var opened = 0
    let place: String
    let key: PrivateKey

    init(_ book: Book) {
        place = book.place
        key = book.key
    }

    var count: Int { mutex.locked { opened } }

    func fail(with error: LedgerError?) { mutex.locked { self.error = error } }

    func open() throws(LedgerError) -> Ledger {
        let error = mutex.locked {
            opened += 1
            return self.error
        }
        if let error { throw error }
        return try Ledger(at: place, key: key)
    }
}

struct DeskTests {
    private typealias Written = Result<SignedStatement, LedgerError>
    private typealias Begun = Result<Ledger.Admission, LedgerError>

    private func open(_ place: Place) throws -> (Book, Ledger, Faults, LedgerDesk) {
        let book = try Book(place)
        let ledger = try book.open()
        try ledger.set(account: "a", terms: .prepaid)
        try ledger.credit(account: "a", amount: 1_000_000, reference: "r")
        let faults = Faults(book)
        let desk = try LedgerDesk { () throws(LedgerError) in try faults.open() }
        return (book, ledger, faults, desk)
    }

    private func begin(_ desk: LedgerDesk, _ request: Ledger.Pending) async -> Begun {
        await withCheckedContinuation { done in
            desk.begin(request) { done.resume(returning: $0) }
        }
    }

    private func finish(_ desk: LedgerDesk, _ entry: Ledger.Entry) async -> Written {
        await withCheckedContinuation { done in
            desk.finish(entry) { done.resume(returning: $0) }
        }
    }

    private func run<Answer: Sendable>(
        _ desk: LedgerDesk, _ job: @escaping @Sendable (Ledger) throws(LedgerError) -> Answer
    ) async -> Result<Answer, LedgerError> {
        await withCheckedContinuation { done in
            desk.run(job) { done.resume(returning: $0) }
        }
    }

    @Test(arguments: Place.all) func whatIsAnsweredIsWritten(_ place: Place) async throws {
        let (book, ledger, _, desk) = try open(place)
        let requests = try (0..<200).map { try book.pending("\($0)", of: ledger) }
        let entries = try requests.map { try book.entry($0) }
        await withTaskGroup(of: Void.self) { group in
            for (request, entry) in zip(requests, entries) {
                group.addTask {
                    #expect(await begin(desk, request) == .success(.admitted))
                    guard case .success(let statement) = await finish(desk, entry) else {
                        Issue.record("\(request.id) is not written")
                        return
                    }
                    let id = request.id
                    let found = await run(desk) { ledger throws(LedgerError) in
                        try ledger.receipt(id)
                    }
                    #expect(found == .success(statement))
                }
            }
        }
        desk.stop()
        #expect(try ledger.pending() == [])
        let result = try book.audit(try book.export(ledger))
        #expect(result.receipts == 200)
        #expect(result.findings.map(\.refusal.code) == [])
    }

    /// What waits while a commit is under way is one commit, not as many; PostgreSQL numbers them.
    @Test(.enabled(if: Place.all.contains(.postgresql))) func whatWaitsIsOneCommit() throws {
        let (book, ledger, _, desk) = try open(.postgresql)
        let entries = try (0..<500).map { try book.entry("\($0)", of: ledger) }
        let (gate, written) = (Mutex(), Answers<Written>())
        gate.lock()
        desk.run({ _ in gate.locked {} }, then: { _ in })
        for entry in entries { desk.finish(entry) { written.add($0) } }
        gate.unlock()
        desk.stop()
        #expect(written.all.count == 500)
        // What came before the desk's thread waited for the gate is another one.
        let rows = try ledger.database.query(
            "SELECT COUNT(*), COUNT(DISTINCT CAST(xmin AS TEXT)) FROM receipts")
        #expect(rows[0][0] == .integer(500) && (1...2).contains(rows[0][1].integer ?? 0))
    }

    @Test(arguments: Place.all) func oneThatCannotBeWrittenHoldsUpNoOther(
        _ place: Place
    ) async throws {
        let (book, ledger, _, desk) = try open(place)
        var bad = try book.entry("bad", of: ledger)
        bad.receipt.cost = -1
        let good = try (0..<3).map { try book.entry("\($0)", of: ledger) }
        let (gate, answers) = (Mutex(), Answers<Written>())
        gate.lock()
        desk.run({ _ in gate.locked {} }, then: { _ in })
        for entry in [good[0], bad, good[1], good[2]] { desk.finish(entry) { answers.add($0) } }
        gate.unlock()
        desk.stop()
        #expect(
            answers.all.map { result in
                if case .failure(let error) = result { error.code.rawValue } else { "" }
            } == ["", "ledger.invalid", "", ""])
        #expect(try ledger.newest(limit: 9).count == 3)
    }

    /// While the database fails, what comes is refused; what had ended is written afterwards.
    @Test(arguments: Place.all) func whatEndedIsWrittenOnceThatIsPossible(
        _ place: Place
    ) async throws {
        let (book, ledger, faults, desk) = try open(place)
        let requests = try ["1", "2"].map { try book.pending($0, of: ledger) }
        #expect(await begin(desk, requests[0]) == .success(.admitted))
        let entry = try book.entry(requests[0])
        let lost = LedgerError(.unavailable, "gone")
        faults.fail(with: lost)
        // The connection that it has fails first.
        _ = await run(desk) { _ throws(LedgerError) -> Int in throw lost }
        #expect(await finish(desk, entry) == .failure(lost))
        #expect(await begin(desk, requests[1]) == .failure(lost))
        #expect(try ledger.receipt("1") == nil)
        faults.fail(with: nil)
        var written: SignedStatement?
        for _ in 0..<200 where written == nil {
            try await Task.sleep(for: .milliseconds(20))
            written = try ledger.receipt("1")
        }
        #expect(written != nil)
        // Twice is once.
        #expect(try await finish(desk, entry).get() == written)
        #expect(await begin(desk, requests[1]) == .success(.admitted))
        desk.stop()
        #expect(try ledger.balance(of: "a", at: Book.time).billed == Book.cost)
    }

    /// A request whose beginning was written though its caller was told that it failed reserves
    /// nothing for long, and has a receipt.
    @Test(arguments: Place.all) func whatBeganInDoubtIsEnded(_ place: Place) async throws {
        let (book, ledger, _, desk) = try open(place)
        let requests = try ["1", "2"].map { try book.pending($0, of: ledger) }
        // Its connection is open then: it is the commit that fails.
        _ = await run(desk) { _ in 0 }
        let (gate, answers) = (Mutex(), Answers<Begun>())
        gate.lock()
        desk.run({ _ in gate.locked {} }, then: { _ in })
        desk.begin(requests[0]) { answers.add($0) }
        // Another holds what the desk needs until it gives up.
        try ledger.write { () throws(LedgerError) in
            gate.unlock()
            for _ in 0..<600 where answers.all.isEmpty { usleep(50_000) }
            // As if the desk's commit had gone through all the same.
            let admissions = try ledger.begin([requests[0]])
            #expect(admissions == [.admitted])
        }
        let codes = answers.all.map { result in
            if case .failure(let error) = result { error.code.rawValue } else { "" }
        }
        #expect(codes == ["ledger.unavailable"])
        #expect(await beginUntilItIs(desk, requests[1]) == .success(.admitted))
        desk.stop()
        #expect(try ledger.pending().map(\.id) == ["2"])
        let ended = try Receipt(try #require(try ledger.receipt("1")))
        #expect(ended.end == .error && ended.cost == 0)
    }

    private func beginUntilItIs(_ desk: LedgerDesk, _ request: Ledger.Pending) async -> Begun {
        for _ in 0..<100 {
            let result = await begin(desk, request)
            if case .success = result { return result }
            try? await Task.sleep(for: .milliseconds(50))
        }
        return await begin(desk, request)
    }

    @Test func whatIsTooMuchIsRefused() async throws {
        let (book, ledger, _, desk) = try open(.sqlite)
        let gate = Mutex()
        gate.lock()
        desk.run({ _ in gate.locked {} }, then: { _ in })
        let (begun, written) = (Answers<Begun>(), Answers<Written>())
        let request = try book.pending("1", of: ledger)
        for _ in 0...LedgerDesk.capacity { desk.begin(request) { begun.add($0) } }
        // What ends has a place of its own.
        desk.finish(try book.entry("2", of: ledger)) { written.add($0) }
        gate.unlock()
        desk.stop()
        let refused = begun.all.filter {
            if case .failure(let error) = $0 { error.code == .busy } else { false }
        }
        #expect((1...2).contains(refused.count) && begun.all.count == LedgerDesk.capacity + 1)
        #expect(try written.all.map { try $0.get() } == ledger.newest(limit: 9))
        desk.begin(request) { begun.add($0) }
        #expect(begun.all.last == .failure(LedgerError(.closed, "it was stopped")))
    }

    @Test func aLedgerThatCannotBeOpenedIsRefusedAtOnce() throws {
        let key = try PrivateKey.generate()
        for place in ["/tmp/none/of/it.sqlite", "postgresql:///postgres?host=/tmp/none"] {
            let error = #expect(throws: LedgerError.self) {
                try LedgerDesk { () throws(LedgerError) in try Ledger(at: place, key: key) }
            }
            #expect(error?.code == .unavailable)
        }
    }
}
