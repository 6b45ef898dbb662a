import FoundationEssentials
import Keys
import RATS
import Receipts
import Testing

@testable import Ledger

/// The ledger of one router in a file of its own, and requests for it.
private final class Book {
    let path: String
    let key = try! PrivateKey.generate()
    let provider = try! PrivateKey.generate()
    let offer: SignedStatement
    static let hour: Int64 = 500_000
    private var served: Int64 = 0
    private var last = [UInt8](repeating: 0, count: 32)

    init() throws {
        path = "/tmp/ratel-ledger-\(UUID().uuidString).sqlite"
        offer = try SignedStatement(
            .offer,
            .members([
                ("offer_id", .string("o")), ("seq", .integer(1)),
                ("keyset_digest", .string(Hex.encode(Digest.sha256(provider.spki)))),
                ("measurement", .string(Hex.encode(Digest.sha256([1])))),
                (
                    "model",
                    .members([
                        ("id", .string("m")),
                        ("weights_digest", .string(Hex.encode(Digest.sha256([2])))),
                        ("quantization", .string("none")),
                    ])
                ),
                (
                    "price_nusd_per_mtok",
                    .members([
                        ("in", .integer(1_000_000)), ("cache_read", .integer(0)),
                        ("out", .integer(2_000_000)),
                    ])
                ), ("min_charge", .integer(0)),
                (
                    "terms",
                    .members([
                        ("billing", .string("postpaid")), ("settlement", .string("invoice")),
                        ("cancel_policy", .string("counted")),
                    ])
                ), ("capacity", .members([("tpm", .integer(1)), ("streams", .integer(1))])),
                ("region", .string("eu")), ("retention", .string("none")),
                ("not_before", .integer(Book.hour * 3_600)),
                ("not_after", .integer(Book.hour * 3_600 + 3_600)),
            ]), signedBy: provider)
    }

    deinit {
        for suffix in ["", "-wal", "-shm"] {
            try? FileManager.default.removeItem(atPath: path + suffix)
        }
    }

    func open() throws -> Ledger {
        let ledger = try Ledger(at: path, key: key)
        try ledger.keep(offer)
        return ledger
    }

    /// A request that was served, for the ledger to place.
    func entry(_ id: String, of ledger: Ledger) throws -> Ledger.Entry {
        served += 1
        let time = Book.hour * 3_600_000 + served
        let service = try SignedStatement(
            .service,
            .members([
                ("receipt_id", .string(id)), ("seq", .integer(served)),
                ("prev", .string(Hex.encode(last))),
                ("offer_hash", .string(Hex.encode(offer.digest))), ("model", .string("m")),
                ("weights_digest", .string(Hex.encode(Digest.sha256([2])))),
                ("request_hash", .string(Hex.encode(Digest.sha256([3])))),
                ("response_hash", .string(Hex.encode(Digest.sha256([4])))),
                ("stream_chain_head", .string(Hex.encode(Digest.sha256([5])))),
                ("events", .integer(3)),
                (
                    "usage",
                    .members([
                        ("in", .integer(10)), ("cached", .integer(0)), ("out", .integer(5)),
                        ("reasoning", .integer(0)),
                    ])
                ), ("end", .string("complete")), ("started_ms", .integer(time)),
                ("first_ms", .integer(time)), ("ended_ms", .integer(time)),
            ]), signedBy: provider)
        last = service.digest
        let request = Decision.Request(
            order: .price, expected: Usage(input: 10, cached: 0, output: 5, reasoning: 0),
            first: 0, gap: 0)
        let measures = Decision.Measures(
            cost: 20, first: 1, gap: 1, success: Decision.Measures.unit,
            inflation: Decision.Measures.unit, disagreement: 0, facts: 100, position: 0)
        let decision = Decision(
            request,
            weighing: [.init(offer: offer.digest, weight: 0, reason: "", measures: measures)])
        let seed = try ledger.seed(at: time)
        return Ledger.Entry(
            receipt: Receipt(
                id: id, account: "a", service: service, offer: offer.digest,
                price: Price(input: 1_000_000, cached: 0, output: 2_000_000),
                usage: Usage(input: 10, cached: 0, output: 5, reasoning: 0), cost: 20,
                attempts: [.init(offer: offer.digest, outcome: .served)],
                policy: Digest.sha256([6]), seedCommitment: Decision.commitment(to: seed),
                end: .complete, time: time), decision: decision)
    }

    /// The lines of the hour's export by file.
    func export(_ ledger: Ledger) throws -> [LedgerExport.File: [String]] {
        var files: [LedgerExport.File: [String]] = [:]
        try LedgerExport.write(period: Book.hour, of: ledger, now: (Book.hour + 1) * 3_600_000) {
            files[$0, default: []].append($1)
        }
        return files
    }

    func audit(_ files: [LedgerExport.File: [String]]) throws -> ExportAudit.Result {
        try ExportAudit.run(routerKey: key.spki) { file, each throws(Refusal) in
            for line in files[file] ?? [] { try each(line) }
        }
    }
}

struct LedgerTests {
    @Test func whatIsWrittenAddsUpWhenItIsExported() throws {
        let book = try Book()
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

    @Test func aProviderReadsWhatBecameOfItFromAnExport() throws {
        let book = try Book()
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

    @Test func aRequestIsWrittenOnce() throws {
        let book = try Book()
        let ledger = try book.open()
        let entry = try book.entry("r", of: ledger)
        let first = try ledger.append([entry])
        var again = entry
        again.receipt.cost = 1_000
        #expect(try ledger.append([again, again]) == [first[0], first[0]])
        #expect(
            try book.audit(try book.export(ledger)).bills == ["a": .init(requests: 1, cost: 20)])
    }

    @Test func theChainGoesOnOverARestart() throws {
        let book = try Book()
        for index in 0..<5 {
            let ledger = try book.open()
            _ = try ledger.append([try book.entry("r\(index)", of: ledger)])
        }
        let result = try book.audit(try book.export(try book.open()))
        #expect(result.findings.isEmpty && result.receipts == 5)
    }

    @Test func nothingIsChangedOrDeleted() throws {
        let book = try Book()
        let ledger = try book.open()
        _ = try ledger.append([try book.entry("r", of: ledger)])
        for text in [
            "UPDATE receipts SET cost_nusd = 0", "DELETE FROM receipts",
            "UPDATE seeds SET seed = x'00'",
        ] {
            #expect(throws: LedgerError.self) { try ledger.database.execute(text) }
        }
    }

    @Test func aFileThatIsNoLedgerIsRefused() throws {
        let book = try Book()
        try #require(
            FileManager.default.createFile(
                atPath: book.path, contents: Data([UInt8](repeating: 7, count: 4_096))))
        #expect(throws: LedgerError.self) { try book.open() }
    }

    @Test func anHourThatRunsIsNotExported() throws {
        let book = try Book()
        let ledger = try book.open()
        #expect(throws: LedgerError.self) {
            try LedgerExport.write(
                period: Book.hour, of: ledger, now: (Book.hour + 1) * 3_600_000 - 1
            ) { _, _ in }
        }
    }

    /// A batch is there whole or not at all: the second half of it cannot be placed.
    @Test func aBatchThatFailsLeavesNothing() throws {
        let book = try Book()
        let ledger = try book.open()
        var bad = try book.entry("bad", of: ledger)
        bad.receipt.cost = -1
        #expect(throws: LedgerError.self) {
            try ledger.append([try book.entry("good", of: ledger), bad])
        }
        #expect(try ledger.receipt("good") == nil)
    }

    @Test func filesThatWereChangedAreFound() throws {
        let book = try Book()
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
        #expect(throws: Refusal.self) { try codes { $0[.root] = [] } }
        #expect(throws: Refusal.self) {
            try codes { $0[.root]?[0].replace("\"count\":4", with: "\"count\":3") }
        }
        #expect(throws: Refusal.self) {
            try codes { $0[.receipts]?[0].replace("\"cost_nusd\":20", with: "\"cost_nusd\":2") }
        }
    }
}
