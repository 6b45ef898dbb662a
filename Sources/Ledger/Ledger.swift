public import Keys
public import Receipts

/// The receipts of routers, each once, in an order that cannot be changed afterwards, and what the
/// accounts they bill may still spend.
///
/// Each router has a chain of its own, in which each receipt names the digest of the one before.
/// They are written in batches, one commit each, and a receipt is signed only with the place that
/// it then has: what was committed is on the disk, and what was not was never signed for anybody.
/// Several routers, each with a key of its own, share one PostgreSQL; a key belongs to one process
/// at a time. A `Ledger` is one connection, for one thread at a time.
public final class Ledger {
    /// A request that is over, without its place in the ledger.
    public struct Entry: Sendable {
        public var receipt: Receipt
        public var decision: Decision

        /// `sequence` and `previous` of the receipt are the ledger's to fill in.
        public init(receipt: Receipt, decision: Decision) {
            self.receipt = receipt
            self.decision = decision
        }
    }

    /// Entries of one commit at most: a commit waits for the disk some milliseconds, in which a
    /// thousand requests end at 200,000 a second.
    public static let maxBatch = 1_024

    /// Milliseconds of the usual period by which receipts are exported.
    public static let hour: Int64 = 3_600_000

    let database: any LedgerDatabase
    private let key: PrivateKey
    /// SHA-256 of the key: what rows of this router have.
    let router: [UInt8]
    /// Milliseconds of the periods by which receipts are exported.
    public let period: Int64
    /// 32 bytes that the routers of one ledger have in common, and nobody else.
    public private(set) var secret: [UInt8] = []
    private var isWriting = false
    /// Times up to here are exported: nothing is written before it any more.
    private var closed: Int64 = 0

    /// Opens the ledger at `place`, or makes it: the path of a SQLite file, or the
    /// `postgresql://` URL of a database. Receipts are signed with `key`.
    ///
    /// `period` is how many milliseconds make an export; it stays what it was when this router
    /// first opened the ledger. Errors: `setting` where it is another.
    public init(
        at place: String, key: PrivateKey, period: Int64 = Ledger.hour
    ) throws(LedgerError) {
        // Folders of exports are named by seconds.
        guard period > 0, period % 1_000 == 0 else {
            throw LedgerError(.setting, "expected a period of whole seconds, got \(period) ms")
        }
        database = try Ledger.open(place)
        self.key = key
        self.period = period
        router = Digest.sha256(key.spki)
        try database.transaction { () throws(LedgerError) in
            secret = try LedgerSchema.make(in: database)
            try database.run(
                """
                INSERT INTO routers (id, key, period_ms) VALUES ($1, $2, $3)
                ON CONFLICT DO NOTHING
                """, .blob(router), .blob(key.spki), .integer(period))
            let rows = try database.query(
                "SELECT period_ms FROM routers WHERE id = $1", .blob(router))
            guard rows.first?[0].integer == period else {
                throw LedgerError(
                    .setting,
                    "its exports have \(rows.first?[0].integer ?? 0) ms, not \(period): "
                        + "keep to it, or begin with another key")
            }
        }
    }

    private static func open(_ place: String) throws(LedgerError) -> any LedgerDatabase {
        let isURL = ["postgresql://", "postgres://"].contains { place.hasPrefix($0) }
        return isURL ? try PostgreSQLDatabase(url: place) : try SQLiteDatabase(path: place)
    }

    /// All that `body` writes, in one commit, or nothing of it; inside another one it is a part of
    /// that.
    ///
    /// Its router's row is locked, and then the rows of `accounts` in their order, so that no two
    /// routers wait for each other.
    public func write<Result>(
        accounts: [String] = [], _ body: () throws(LedgerError) -> Result
    ) throws(LedgerError) -> Result {
        if isWriting {
            for account in Set(accounts).sorted() { try lock(account) }
            return try body()
        }
        isWriting = true
        defer { isWriting = false }
        return try database.transaction { () throws(LedgerError) in
            let rows = try database.query(
                "SELECT closed_ms FROM routers WHERE id = $1" + database.dialect.lock,
                .blob(router))
            guard let time = rows.first?[0].integer else {
                throw LedgerError(.damaged, "the router's row is gone")
            }
            closed = time
            for account in Set(accounts).sorted() { try lock(account) }
            return try body()
        }
    }

    /// Keeps what is written from now on out of the times before `end`.
    func close(before end: Int64) throws(LedgerError) {
        try write { () throws(LedgerError) in
            guard end > closed else { return }
            try database.run(
                "UPDATE routers SET closed_ms = $1 WHERE id = $2", .integer(end), .blob(router))
            closed = end
        }
    }

    // MARK: Receipts

    /// Writes what ended, in this order, in one commit, and ends its reservations; answers the
    /// receipts as they were signed.
    ///
    /// A request that was written before is not written again: its receipt is answered as it is.
    /// A receipt's time is not before that of the one before it, nor in a period that was exported.
    public func append(_ entries: [Entry]) throws(LedgerError) -> [SignedStatement] {
        precondition(entries.count <= Ledger.maxBatch, "one batch")
        guard !entries.isEmpty else { return [] }
        return try write(accounts: entries.map(\.receipt.account)) { () throws(LedgerError) in
            var place = try last()
            var signed: [SignedStatement] = []
            for entry in entries {
                if let known = try receipt(entry.receipt.id) {
                    signed.append(known)
                    continue
                }
                var receipt = entry.receipt
                receipt.sequence = place.sequence + 1
                receipt.previous = place.digest
                receipt.time = max(
                    receipt.time, place.time, closed, try start(ofSeed: receipt.seedCommitment))
                let statement = try sign(receipt, entry.decision)
                try insert(receipt, statement, entry.decision)
                place = (receipt.sequence, statement.digest, receipt.time)
                signed.append(statement)
            }
            return signed
        }
    }

    /// The receipt of a request of this router.
    public func receipt(_ id: String) throws(LedgerError) -> SignedStatement? {
        let rows = try database.query(
            "SELECT statement FROM receipts WHERE router = $1 AND id = $2", .blob(router),
            .text(id))
        return try rows.first.map { row throws(LedgerError) in
            try Ledger.statement(.receipt, row[0])
        }
    }

    private func last() throws(LedgerError) -> (sequence: Int64, digest: [UInt8], time: Int64) {
        let rows = try database.query(
            "SELECT seq, digest, time_ms FROM receipts WHERE router = $1 ORDER BY seq DESC LIMIT 1",
            .blob(router))
        guard let row = rows.first else { return (0, [UInt8](repeating: 0, count: 32), 0) }
        guard let sequence = row[0].integer, let digest = row[1].blob, let time = row[2].integer
        else { throw LedgerError(.damaged, "the last receipt cannot be read") }
        return (sequence, digest, time)
    }

    private func insert(
        _ receipt: Receipt, _ statement: SignedStatement, _ decision: Decision
    ) throws(LedgerError) {
        try database.run(
            """
            INSERT INTO receipts
                (router, seq, id, time_ms, period, account, cost_nusd, digest, statement, decision)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            """, .blob(router), .integer(receipt.sequence), .text(receipt.id),
            .integer(receipt.time), .integer(receipt.time / period), .text(receipt.account),
            .integer(receipt.cost), .blob(statement.digest), .text(statement.json.serialised()),
            .text(decision.json.serialised()))
        try bill(receipt)
    }

    // MARK: Statements

    private func sign(
        _ receipt: Receipt, _ decision: Decision
    ) throws(LedgerError) -> SignedStatement {
        var receipt = receipt
        do throws(KeyError) {
            receipt.candidatesRoot = try decision.root()
        } catch {
            throw LedgerError(.invalid, "receipt \(receipt.id): \(error)")
        }
        return try sign(.receipt, receipt.json)
    }

    func sign(
        _ kind: SignedStatement.Kind, _ body: JSONValue
    ) throws(LedgerError) -> SignedStatement {
        do throws(KeyError) {
            return try SignedStatement(kind, body, signedBy: key)
        } catch {
            throw LedgerError(.invalid, "\(kind.rawValue): \(error)")
        }
    }

    static func statement(
        _ kind: SignedStatement.Kind, _ value: LedgerValue
    ) throws(LedgerError) -> SignedStatement {
        guard let text = value.text else { throw LedgerError(.damaged, "a statement is not text") }
        do {
            return try SignedStatement(kind, reading: JSONParser.parse(Array(text.utf8)))
        } catch {
            throw LedgerError(.damaged, "a statement was changed: \(error)")
        }
    }
}
