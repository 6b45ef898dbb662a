import FoundationEssentials
import Keys
import RATS
import Receipts
import Testing

@testable import Ledger

struct LedgerTests {
    @Test(arguments: Place.all) func whatIsWrittenAddsUpWhenItIsExported(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open()
        var count = 0
        for batch in [1, 3, 50] {
            let entries = try (0..<batch).map { _ in
                count += 1
                return try book.entry("r\(count)", of: ledger)
            }
            #expect(try ledger.append(entries).count == batch)
        }
        let result = try book.audit(try book.export(ledger))
        #expect(result.findings.map(\.refusal.code) == [])
        #expect(result.receipts == 54 && result.first == 1 && result.last == 54)
        #expect(result.bills == ["a": .init(requests: 54, cost: 54 * 20)])
    }

    @Test(arguments: Place.all) func aProviderReadsWhatBecameOfItFromAnExport(_ place: Place) throws
    {
        let book = try Book(place)
        let ledger = try book.open()
        _ = try ledger.append([try book.entry("r", of: ledger)])
        let files = try book.export(ledger)
        let participation = try ExportAudit.participation(of: [book.offer]) {
            file, each throws(Refusal) in
            for line in files[file] ?? [] { try each(line) }
        }
        #expect(participation.weighed == 1 && participation.served == 1)
        #expect(participation.leftOut == [] && participation.reasons == [:])
    }

    @Test(arguments: Place.all) func aRequestIsWrittenOnce(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open()
        let entry = try book.entry("r", of: ledger)
        let first = try ledger.append([entry])
        var again = entry
        again.receipt.cost = 1_000
        #expect(try ledger.append([again, again]) == [first[0], first[0]])
        #expect(
            try book.audit(try book.export(ledger)).bills == ["a": .init(requests: 1, cost: 20)])
    }

    @Test(arguments: Place.all) func theChainGoesOnOverARestart(_ place: Place) throws {
        let book = try Book(place)
        for index in 0..<5 {
            let ledger = try book.open()
            _ = try ledger.append([try book.entry("r\(index)", of: ledger)])
        }
        let result = try book.audit(try book.export(try book.open()))
        #expect(result.findings.isEmpty && result.receipts == 5)
    }

    @Test(arguments: Place.all) func nothingIsChangedOrDeleted(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open()
        _ = try ledger.append([try book.entry("r", of: ledger)])
        for text in [
            "UPDATE receipts SET cost_nusd = 0", "DELETE FROM receipts",
            "UPDATE seeds SET period = 0",
        ] {
            #expect(throws: LedgerError.self) { try ledger.database.execute(text) }
        }
    }

    @Test func aFileThatIsNoLedgerIsRefused() throws {
        let book = try Book(.sqlite)
        try #require(
            FileManager.default.createFile(
                atPath: book.place, contents: Data([UInt8](repeating: 7, count: 4_096))))
        #expect(throws: LedgerError.self) { try book.open() }
    }

    @Test(arguments: Place.all) func anHourThatRunsIsNotExported(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open()
        #expect(throws: LedgerError.self) {
            try LedgerExport.write(
                period: Book.hour, of: ledger, now: (Book.hour + 1) * 3_600_000 - 1
            ) { _, _ in }
        }
    }

    /// Each export has the Evidence of the period, and where there is none the last before.
    @Test(arguments: Place.all) func evidenceIsThatOfThePeriod(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open()
        let hour = ledger.period
        func sessions(_ period: Int64) throws -> [String] {
            _ = try ledger.append(
                [try book.entry("r\(period)", of: ledger, at: period * hour + 1_000)])
            return try book.export(ledger, period: period)[.evidence, default: []].map { line in
                JSONParser.parse(Array(line.utf8))?["session"]?.text ?? ""
            }
        }
        // The same again is kept once, and another's is not shown.
        try book.keepEvidence(in: ledger, at: Book.time + 5)
        try book.keepEvidence(of: .generate(), in: ledger, at: Book.time)
        #expect(try sessions(Book.hour) == ["s"])
        #expect(try sessions(Book.hour + 1) == ["s"])
        try book.keepEvidence(session: "u", in: ledger, at: Book.time + 2 * hour)
        try book.keepEvidence(session: "t", in: ledger, at: Book.time + 2 * hour)
        try book.keepEvidence(session: "v", in: ledger, at: Book.time + 4 * hour)
        #expect(try sessions(Book.hour + 2) == ["t", "u"])
        #expect(try sessions(Book.hour + 3) == ["t", "u"])
        #expect(try sessions(Book.hour + 4) == ["v"])
    }

    /// A batch is there whole or not at all: the second half of it cannot be placed.
    @Test(arguments: Place.all) func aBatchThatFailsLeavesNothing(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open()
        var bad = try book.entry("bad", of: ledger)
        bad.receipt.cost = -1
        #expect(throws: LedgerError.self) {
            try ledger.append([try book.entry("good", of: ledger), bad])
        }
        #expect(try ledger.receipt("good") == nil)
    }

    /// No room is no end: what could not be written is written once there is.
    @Test func aFullDiskIsTriedAgain() throws {
        let book = try Book(.sqlite)
        let ledger = try book.open()
        let entries = try (0..<50).map { try book.entry("\($0)", of: ledger) }
        _ = try ledger.database.query("PRAGMA max_page_count = 1")
        let error = #expect(throws: LedgerError.self) { try ledger.append(entries) }
        #expect(error?.code == .unavailable)
        #expect(try ledger.newest(limit: 1) == [])
        _ = try ledger.database.query("PRAGMA max_page_count = 1000000")
        #expect(try ledger.append(entries).count == 50)
    }

    /// Another holds the file; whoever waits for it gives up, and is told to try again.
    @Test(arguments: Place.all) func aLedgerThatIsHeldIsTriedAgain(_ place: Place) throws {
        let book = try Book(place)
        let (one, other) = (try book.open(), try book.open())
        let entry = try book.entry("1", of: one)
        try one.write { () throws(LedgerError) in
            let error = #expect(throws: LedgerError.self) { try other.append([entry]) }
            #expect(error?.code == .unavailable)
        }
        #expect(try other.append([entry]).count == 1)
    }

    @Test(arguments: Place.all) func filesThatWereChangedAreFound(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open()
        for index in 0..<4 {
            _ = try ledger.append([try book.entry("r\(index)", of: ledger)])
        }
        let files = try book.export(ledger)
        func codes(_ change: (inout [LedgerExport.File: [String]]) -> Void) throws -> [String] {
            var changed = files
            change(&changed)
            return try book.audit(changed).findings.map(\.refusal.code)
        }
        #expect(try codes { _ in } == [])
        #expect(try codes { $0[.receipts]?.removeLast() }.contains("audit.export.root"))
        #expect(try codes { $0[.receipts]?.removeFirst() }.contains("audit.export.root"))
        #expect(try codes { $0[.receipts]?.swapAt(1, 2) }.contains("audit.receipt.gap"))
        #expect(try codes { $0[.decisions]?.removeLast() }.contains("audit.decision.missing"))
        #expect(try codes { $0[.offers] = [] }.contains("audit.offer.missing"))
        #expect(
            try codes { $0[.evidence] = [] } == ["audit.evidence.none", "audit.export.root"])
        #expect(
            try codes { $0[.evidence] = ["{}"] }
                == ["test.evidence", "audit.evidence.none", "audit.export.root"])
        #expect(throws: Refusal.self) { try codes { $0[.root] = [] } }
        #expect(throws: Refusal.self) {
            try codes { $0[.root]?[0].replace("\"count\":4", with: "\"count\":3") }
        }
        #expect(throws: Refusal.self) {
            try codes { $0[.receipts]?[0].replace("\"cost_nusd\":20", with: "\"cost_nusd\":2") }
        }
    }
}
