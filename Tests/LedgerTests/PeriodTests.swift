import FoundationEssentials
import Keys
import RATS
import Receipts
import Testing

@testable import Ledger

struct PeriodTests {
    /// What was exported stays as it was: a receipt that comes late is the next period's.
    @Test(arguments: Place.all) func nothingIsWrittenIntoAnExportedPeriod(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open()
        _ = try ledger.append([try book.entry("1", of: ledger)])
        let first = try book.audit(try book.export(ledger))
        let late = try ledger.append([try book.entry("2", of: ledger)])
        #expect(try Receipt(late[0]).time == (Book.hour + 1) * 3_600_000)
        #expect(try book.audit(try book.export(ledger)).receipts == first.receipts)
        let second = try book.audit(try book.export(ledger, period: Book.hour + 1))
        #expect(ExportAudit.findings(between: [second, first]) == [])
        var other = second
        other.previous = first.previous
        func codes(_ results: [ExportAudit.Result]) -> [String] {
            ExportAudit.findings(between: results).map(\.refusal.code)
        }
        #expect(codes([first, other]) == ["audit.period.chain"])
        other.first = 3
        #expect(codes([first, other]) == ["audit.period.gap"])
        // It was drawn in the period before, whose seed is shown with it.
        #expect(second.receipts == 1 && second.first == 2)
        #expect(second.findings.map(\.refusal.code) == [])
    }

    /// A provider's facts are held against each other over all exports, in whatever order a router
    /// writes them.
    @Test func factsMayBeOfTheNextExport() throws {
        let book = try Book(.sqlite)
        let ledger = try book.open()
        let entries = try ["1", "2", "3", "4"].map { try book.entry($0, of: ledger) }
        _ = try ledger.append([entries[0], entries[2]])
        let first = try book.export(ledger)
        _ = try ledger.append([entries[3], entries[1]])
        let second = try book.export(ledger, period: Book.hour + 1)
        var chains = ServiceChains()
        #expect(try book.audit(first, &chains).findings == [])
        #expect(chains.gaps.map(\.code) == ["audit.service.gap"])
        #expect(try book.audit(second, &chains).findings == [])
        #expect(chains.gaps == [])
        // One service in two exports is two bills.
        let again = try book.audit(second, &chains).findings.map(\.refusal.code)
        #expect(again == ["audit.service.twice", "audit.service.twice"])
    }

    /// A clock that was set back does not put a receipt before the one that was written.
    @Test(arguments: Place.all) func receiptsAreInTheOrderOfTheirTimes(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open()
        let next = Book.time + Ledger.hour
        let signed = try ledger.append([
            try book.entry("1", of: ledger, at: next), try book.entry("2", of: ledger),
        ])
        #expect(try signed.map { try Receipt($0).time } == [next, next])
        // And one that was drawn with a seed is not written before that seed's period.
        let ahead = try book.pending("3", of: ledger, at: next + Ledger.hour)
        let written = try ledger.append([try book.entry(ahead, at: next)])
        #expect(try Receipt(written[0]).time == next + Ledger.hour)
    }

    @Test(arguments: Place.all) func aPeriodStaysWhatItWas(_ place: Place) throws {
        let book = try Book(place)
        _ = try book.open(period: 5_000)
        let error = #expect(throws: LedgerError.self) { try book.open() }
        #expect(error?.code == .setting)
        #expect(throws: LedgerError.self) { try book.open(period: 1_500) }
        _ = try Book(beside: book).open()
    }

    @Test(arguments: Place.all) func eachPeriodIsWrittenOnce(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open(period: 5_000)
        let folder = "/tmp/ratel-exports-\(UUID().uuidString)/in/it"
        defer { try? FileManager.default.removeItem(atPath: String(folder.dropLast(6))) }
        for (id, second) in [("1", 0), ("2", 1), ("3", 7), ("4", 21)] {
            _ = try ledger.append([
                try book.entry(id, of: ledger, at: Book.time + Int64(second) * 1_000)
            ])
        }
        // A try that was cut off left its folder.
        let half = "\(folder)/.2027-01-15T08-00-05Z.new"
        try FileManager.default.createDirectory(
            atPath: half, withIntermediateDirectories: true)
        try "half".write(toFile: "\(half)/receipts.jsonl", atomically: false, encoding: .utf8)
        func writeAll(_ now: Int64) throws -> [LedgerExporter.Event] {
            var events: [LedgerExporter.Event] = []
            while let event = try ExportFolder.writeNext(of: ledger, into: folder, now: now) {
                events.append(event)
            }
            return events
        }
        let first = "\(folder)/2027-01-15T08-00-00Z"
        #expect(try writeAll(Book.time + 4_999) == [])
        #expect(try writeAll(Book.time + 5_000) == [.wrote(folder: first, receipts: 2)])
        let rest = ["\(folder)/2027-01-15T08-00-05Z", "\(folder)/2027-01-15T08-00-20Z"]
        #expect(
            try writeAll(Book.time + 60_000) == rest.map { .wrote(folder: $0, receipts: 1) })
        #expect(try writeAll(Book.time + 60_000) == [])
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
                == ["2027-01-15T08-00-00Z", "2027-01-15T08-00-05Z", "2027-01-15T08-00-20Z"])
        var files: [LedgerExport.File: [String]] = [:]
        for file in LedgerExport.File.allCases {
            let text = try String(contentsOfFile: "\(rest[0])/\(file.rawValue)", encoding: .utf8)
            files[file] = text.split(separator: "\n").map { String($0) }
        }
        let result = try book.audit(files)
        #expect(result.findings.map(\.refusal.code) == [])
        #expect(result.start == Book.time + 5_000 && result.period == 5_000)
    }

    @Test(arguments: Place.all) func aFolderThatIsThereIsNotedOrLeft(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open()
        let other = try Book(place)
        let folder = "/tmp/ratel-exports-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        _ = try ledger.append([try book.entry("1", of: ledger)])
        let now = Book.time + Ledger.hour
        let path = "\(folder)/2027-01-15T08-00-00Z"
        let event = try ExportFolder.writeNext(of: ledger, into: folder, now: now)
        #expect(event == .wrote(folder: path, receipts: 1))
        // Its note was lost, as where there was no time for it.
        try ledger.database.execute(
            place == .sqlite
                ? "DROP TRIGGER exports_stay_at_DELETE; DELETE FROM exports"
                : "ALTER TABLE exports DISABLE TRIGGER ALL; DELETE FROM exports")
        #expect(try ledger.nextExport(now: now) == Book.hour)
        #expect(try ExportFolder.writeNext(of: ledger, into: folder, now: now) == event)
        #expect(try ledger.nextExport(now: now) == nil)
        // Another ledger's folder is not this one's.
        let again = try other.open()
        _ = try again.append([try other.entry("1", of: again)])
        let error = #expect(throws: LedgerError.self) {
            try ExportFolder.writeNext(of: again, into: folder, now: now)
        }
        #expect(error?.code == .setting)
    }

    @Test func anExporterWritesWhatItMissed() async throws {
        let book = try Book(.sqlite)
        let ledger = try book.open(period: 1_000)
        let (key, place) = (book.key, book.place)
        let folder = "/tmp/ratel-exports-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        // These times are over or to come, as the machine's clock has it.
        _ = try ledger.append([
            try book.entry(try book.pending("1", of: ledger, at: 1_000_000), at: 1_000_000)
        ])
        let (stream, continuation) = AsyncStream.makeStream(of: LedgerExporter.Event.self)
        let exporter = LedgerExporter(
            into: folder,
            { () throws(LedgerError) in try Ledger(at: place, key: key, period: 1_000) },
            report: { continuation.yield($0) })
        var events = stream.makeAsyncIterator()
        #expect(
            await events.next()
                == .wrote(folder: "\(folder)/1970-01-01T00-16-40Z", receipts: 1))
        exporter.stop()
    }
}
