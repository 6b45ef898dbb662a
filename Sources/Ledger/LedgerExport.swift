internal import Keys
internal import Receipts

/// One hour of a ledger in files of JSON lines, under a root that the router signs: what settlement
/// and auditors get, and all that they need.
///
/// `receipts.jsonl` has the receipts in their order, `decisions.jsonl` the candidates of each,
/// `offers.jsonl` the offers that they name or weigh, and `root.json` the signed root, with the
/// seed of the hour's draws, which is secret until then.
public struct LedgerExport {
    /// A file of an export.
    public enum File: String, Sendable, CaseIterable {
        case receipts = "receipts.jsonl"
        case decisions = "decisions.jsonl"
        case offers = "offers.jsonl"
        case root = "root.json"
    }

    /// Receipts that are read at once: some 3 KiB each.
    private static let page: Int64 = 1_024

    private let ledger: Ledger
    private var receipts = HashTree.Growing()
    private var decisions = HashTree.Growing()
    private var offers: Set<[UInt8]> = []
    private var first: Int64 = 0
    private var last: Int64 = 0

    /// Hands each line of the export of `hour`, counted from 1970, to `write`; `now` is in
    /// milliseconds since then, and must be past the hour's end.
    public static func write(
        hour: Int64, of ledger: Ledger, now: Int64,
        to write: (File, String) throws(LedgerError) -> Void
    ) throws(LedgerError) {
        guard now >= (hour + 1) * LedgerSchema.hour else {
            throw LedgerError(
                "hour \(hour) is not over: its draws could be foreseen with its seed")
        }
        var export = LedgerExport(ledger: ledger)
        try export.run(hour, write)
    }

    private init(ledger: Ledger) {
        self.ledger = ledger
    }

    private mutating func run(
        _ hour: Int64, _ write: (File, String) throws(LedgerError) -> Void
    ) throws(LedgerError) {
        while true {
            let rows = try ledger.database.query(
                """
                SELECT seq, statement, decision, id FROM receipts
                WHERE router = ? AND hour = ? AND seq > ? ORDER BY seq LIMIT ?
                """, .blob(ledger.router), .integer(hour), .integer(last),
                .integer(LedgerExport.page))
            guard !rows.isEmpty else { break }
            for row in rows { try add(row, write) }
        }
        try writeOffers(write)
        let seed = try ledger.seed(ofHour: hour)
        let body = JSONValue.members([
            ("hour", .integer(hour)), ("count", .integer(receipts.count)),
            ("first_seq", .integer(first)), ("last_seq", .integer(last)),
            ("receipts_root", .string(Hex.encode(receipts.root))),
            ("decisions_root", .string(Hex.encode(decisions.root))),
            ("seed", .string(Hex.encode(seed))),
        ])
        try write(.root, try ledger.sign(.export, body).json.serialised())
    }

    private mutating func add(
        _ row: [SQLiteDatabase.Value], _ write: (File, String) throws(LedgerError) -> Void
    ) throws(LedgerError) {
        guard let sequence = row[0].integer, let text = row[1].text, let decision = row[2].text,
            let id = row[3].text
        else { throw LedgerError("a receipt cannot be read") }
        let statement = try Ledger.statement(.receipt, row[1])
        if first == 0 { first = sequence }
        last = sequence
        receipts.append(statement.digest)
        guard let parts = JSONParser.parse(Array(decision.utf8))?.members else {
            throw LedgerError("the decision of receipt \(id) cannot be read")
        }
        let line = JSONValue.object([.init("receipt_id", .string(id))] + parts).serialised()
        decisions.append(Array(line.utf8))
        if let offer = statement.body["offer_hash"]?.text.flatMap(Hex.decode) {
            offers.insert(offer)
        }
        noteOffers(parts)
        try write(.receipts, text)
        try write(.decisions, line)
    }

    // The costs that candidates were weighed by follow from their offers.
    private mutating func noteOffers(_ decision: [JSONValue.Member]) {
        let candidates = decision.first { $0.name == "candidates" }?.value.items ?? []
        for candidate in candidates where candidate["measures"] != .null {
            if let offer = candidate["offer_hash"]?.text.flatMap(Hex.decode) {
                offers.insert(offer)
            }
        }
    }

    private func writeOffers(
        _ write: (File, String) throws(LedgerError) -> Void
    ) throws(LedgerError) {
        for digest in offers.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            let rows = try ledger.database.query(
                "SELECT statement FROM offers WHERE digest = ?", .blob(digest))
            // What is not there, the auditor misses.
            if let text = rows.first?[0].text { try write(.offers, text) }
        }
    }
}
