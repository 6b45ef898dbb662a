internal import Keys
public import Receipts

/// One period of a ledger, an hour as a rule, in files of JSON lines, under a root that the router
/// signs: what settlement and auditors get, and all that they need.
///
/// `receipts.jsonl` has the receipts in their order, `decisions.jsonl` the candidates of each,
/// `offers.jsonl` the offers that they name or weigh, `evidence.jsonl` that of who signed the
/// offers, and `root.json` the signed root, with the seeds of the draws, which are secret until
/// their period is over.
public struct LedgerExport {
    /// A file of an export.
    public enum File: String, Sendable, CaseIterable {
        case receipts = "receipts.jsonl"
        case decisions = "decisions.jsonl"
        case offers = "offers.jsonl"
        case evidence = "evidence.jsonl"
        case root = "root.json"
    }

    /// Receipts that are read at once: some 3 KiB each.
    private static let page: Int64 = 1_024

    private let ledger: Ledger
    private var receipts = HashTree.Growing()
    private var decisions = HashTree.Growing()
    private var evidence = HashTree.Growing()
    private var offers: Set<[UInt8]> = []
    private var commitments: Set<[UInt8]> = []
    private var first: Int64 = 0
    private var last: Int64 = 0

    /// Hands each line of the export of period `index`, counted from 1970, to `write`; answers the
    /// root. `now` is in milliseconds since then, and must be past the period's end: nothing is
    /// written into that period from then on.
    @discardableResult
    public static func write(
        period index: Int64, of ledger: Ledger, now: Int64,
        to write: (File, String) throws(LedgerError) -> Void
    ) throws(LedgerError) -> SignedStatement {
        guard now >= (index + 1) * ledger.period else {
            throw LedgerError(
                .invalid,
                "the period from \(index * ledger.period) ms on is not over: its draws could be "
                    + "foreseen with its seed")
        }
        try ledger.close(before: (index + 1) * ledger.period)
        var export = LedgerExport(ledger: ledger)
        return try export.run(index, write)
    }

    private init(ledger: Ledger) {
        self.ledger = ledger
    }

    private mutating func run(
        _ index: Int64, _ write: (File, String) throws(LedgerError) -> Void
    ) throws(LedgerError) -> SignedStatement {
        while true {
            let rows = try ledger.database.query(
                """
                SELECT seq, statement, decision, id FROM receipts
                WHERE router = $1 AND period = $2 AND seq > $3 ORDER BY seq LIMIT $4
                """, .blob(ledger.router), .integer(index), .integer(last),
                .integer(LedgerExport.page))
            guard !rows.isEmpty else { break }
            for row in rows { try add(row, write) }
        }
        try writeEvidence(of: writeOffers(write), index, write)
        let body = JSONValue.members([
            ("start_ms", .integer(index * ledger.period)), ("period_ms", .integer(ledger.period)),
            ("count", .integer(receipts.count)),
            ("first_seq", .integer(first)), ("last_seq", .integer(last)),
            ("receipts_root", .string(Hex.encode(receipts.root))),
            ("decisions_root", .string(Hex.encode(decisions.root))),
            ("evidence_root", .string(Hex.encode(evidence.root))),
            ("seeds", .array(try seeds().map { .string(Hex.encode($0)) })),
        ])
        let root = try ledger.sign(.export, body)
        try write(.root, root.json.serialised())
        return root
    }

    // Of the periods that the requests began in: a long answer began before this one.
    private func seeds() throws(LedgerError) -> [[UInt8]] {
        var found: [[UInt8]] = []
        for commitment in commitments.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            let rows = try ledger.database.query(
                "SELECT seed FROM seeds WHERE router = $1 AND commitment = $2",
                .blob(ledger.router), .blob(commitment))
            guard let seed = rows.first?[0].blob else { throw LedgerError(.damaged, "no seed") }
            found.append(seed)
        }
        return found
    }

    private mutating func add(
        _ row: [LedgerValue], _ write: (File, String) throws(LedgerError) -> Void
    ) throws(LedgerError) {
        guard let sequence = row[0].integer, let text = row[1].text, let decision = row[2].text,
            let id = row[3].text
        else { throw LedgerError(.damaged, "a receipt cannot be read") }
        let statement = try Ledger.statement(.receipt, row[1])
        if first == 0 { first = sequence }
        last = sequence
        receipts.append(statement.digest)
        guard let parts = JSONParser.parse(Array(decision.utf8))?.members else {
            throw LedgerError(.damaged, "the decision of receipt \(id) cannot be read")
        }
        let line = JSONValue.object([.init("receipt_id", .string(id))] + parts).serialised()
        decisions.append(Array(line.utf8))
        if let offer = statement.body["offer_hash"]?.text.flatMap(Hex.decode) {
            offers.insert(offer)
        }
        if let seed = statement.body["seed_commitment"]?.text.flatMap(Hex.decode) {
            commitments.insert(seed)
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

    /// Answers whose they are, by the SHA-256 of the keys.
    private func writeOffers(
        _ write: (File, String) throws(LedgerError) -> Void
    ) throws(LedgerError) -> Set<[UInt8]> {
        var keys: Set<[UInt8]> = []
        for digest in offers.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            let rows = try ledger.database.query(
                "SELECT statement FROM offers WHERE digest = $1", .blob(digest))
            // What is not there, the auditor misses.
            guard let row = rows.first, let text = row[0].text else { continue }
            keys.insert(Digest.sha256(try Ledger.statement(.offer, row[0]).key))
            try write(.offers, text)
        }
        return keys
    }

    private mutating func writeEvidence(
        of keys: Set<[UInt8]>, _ index: Int64,
        _ write: (File, String) throws(LedgerError) -> Void
    ) throws(LedgerError) {
        for key in keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            for document in try ledger.evidence(of: key, period: index) {
                evidence.append(Array(document.utf8))
                try write(.evidence, document)
            }
        }
    }
}

extension Ledger {
    /// The first period with receipts that is over and was not exported.
    func nextExport(now: Int64) throws(LedgerError) -> Int64? {
        let rows = try database.query(
            """
            SELECT MIN(period) FROM receipts WHERE router = $1 AND period < $2 AND period >
                COALESCE((SELECT MAX(period) FROM exports WHERE router = $1), -1)
            """, .blob(router), .integer(now / period))
        return rows.first?[0].integer
    }

    /// Notes that a period is exported, with the root of it.
    func note(export root: SignedStatement, period index: Int64) throws(LedgerError) {
        try database.run(
            """
            INSERT INTO exports (router, period, statement) VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING
            """, .blob(router), .integer(index), .text(root.json.serialised()))
    }
}
