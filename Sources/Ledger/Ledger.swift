public import Keys
public import Receipts

/// The receipts of one router, each once, in an order that cannot be changed afterwards.
///
/// Each names the digest of the one before. They are written in batches, one commit each, and a
/// receipt is signed only with the place that it then has: what was committed is on the disk, and
/// what was not was never signed for anybody. For one thread at a time.
public final class Ledger {
    /// A request that is over, without its place in the ledger.
    public struct Entry {
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

    let database: SQLiteDatabase
    private let key: PrivateKey
    /// SHA-256 of the key: what rows of this router have.
    let router: [UInt8]

    /// Opens the ledger in the file at `path`, or makes it; receipts are signed with `key`.
    public init(path: String, key: PrivateKey) throws(LedgerError) {
        database = try SQLiteDatabase(path: path)
        self.key = key
        router = Digest.sha256(key.spki)
        try database.execute(LedgerSchema.text)
        try database.run(
            "INSERT OR IGNORE INTO routers (id, key) VALUES (?, ?)", .blob(router),
            .blob(key.spki))
    }

    /// Writes what ended, in this order, in one commit; answers the receipts as they were signed.
    ///
    /// A request that was written before is not written again: its receipt is answered as it is.
    public func append(_ entries: [Entry]) throws(LedgerError) -> [SignedStatement] {
        precondition(entries.count <= Ledger.maxBatch, "one batch")
        guard !entries.isEmpty else { return [] }
        return try database.transaction { () throws(LedgerError) in
            var (sequence, digest) = try last()
            var signed: [SignedStatement] = []
            for entry in entries {
                if let known = try receipt(entry.receipt.id) {
                    signed.append(known)
                    continue
                }
                var receipt = entry.receipt
                sequence += 1
                receipt.sequence = sequence
                receipt.previous = digest
                let statement = try sign(receipt, entry.decision)
                digest = statement.digest
                try insert(receipt, statement, entry.decision)
                signed.append(statement)
            }
            return signed
        }
    }

    /// The receipt of a request.
    public func receipt(_ id: String) throws(LedgerError) -> SignedStatement? {
        let rows = try database.query(
            "SELECT statement FROM receipts WHERE router = ? AND id = ?", .blob(router), .text(id))
        return try rows.first.map { row throws(LedgerError) in
            try Ledger.statement(.receipt, row[0])
        }
    }

    /// Keeps an offer that requests may be served under.
    public func keep(_ offer: SignedStatement) throws(LedgerError) {
        try database.run(
            "INSERT OR IGNORE INTO offers (digest, statement) VALUES (?, ?)", .blob(offer.digest),
            .text(offer.json.serialised()))
    }

    /// The seed of an hour, counted from 1970; the first time it is made. It is secret until the
    /// hour is over.
    public func seed(ofHour hour: Int64) throws(LedgerError) -> [UInt8] {
        try database.transaction { () throws(LedgerError) in
            try database.run(
                "INSERT OR IGNORE INTO seeds (router, hour, seed) VALUES (?, ?, ?)",
                .blob(router), .integer(hour), .blob(SecureRandom.bytes(32)))
            let rows = try database.query(
                "SELECT seed FROM seeds WHERE router = ? AND hour = ?", .blob(router),
                .integer(hour))
            guard let seed = rows.first?[0].blob else { throw LedgerError("no seed") }
            return seed
        }
    }

    private func last() throws(LedgerError) -> (Int64, [UInt8]) {
        let rows = try database.query(
            "SELECT seq, digest FROM receipts WHERE router = ? ORDER BY seq DESC LIMIT 1",
            .blob(router))
        guard let row = rows.first else { return (0, [UInt8](repeating: 0, count: 32)) }
        guard let sequence = row[0].integer, let digest = row[1].blob else {
            throw LedgerError("the last receipt cannot be read")
        }
        return (sequence, digest)
    }

    private func sign(
        _ receipt: Receipt, _ decision: Decision
    ) throws(LedgerError) -> SignedStatement {
        var receipt = receipt
        do throws(KeyError) {
            receipt.candidatesRoot = try decision.root()
        } catch {
            throw LedgerError("receipt \(receipt.id): \(error)")
        }
        return try sign(.receipt, receipt.json)
    }

    func sign(
        _ kind: SignedStatement.Kind, _ body: JSONValue
    ) throws(LedgerError) -> SignedStatement {
        do throws(KeyError) {
            return try SignedStatement(kind, body, signedBy: key)
        } catch {
            throw LedgerError("\(kind.rawValue): \(error)")
        }
    }

    private func insert(
        _ receipt: Receipt, _ statement: SignedStatement, _ decision: Decision
    ) throws(LedgerError) {
        try database.run(
            """
            INSERT INTO receipts
                (router, seq, id, hour, account, cost_nusd, digest, statement, decision)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """, .blob(router), .integer(receipt.sequence), .text(receipt.id),
            .integer(receipt.time / LedgerSchema.hour), .text(receipt.account),
            .integer(receipt.cost), .blob(statement.digest), .text(statement.json.serialised()),
            .text(decision.json.serialised()))
    }

    static func statement(
        _ kind: SignedStatement.Kind, _ value: SQLiteDatabase.Value
    ) throws(LedgerError) -> SignedStatement {
        guard let text = value.text else { throw LedgerError("a statement is not text") }
        do {
            return try SignedStatement(kind, reading: JSONParser.parse(Array(text.utf8)))
        } catch {
            throw LedgerError("a statement was changed: \(error)")
        }
    }
}

/// The tables; those of PostgreSQL have the same names and columns.
enum LedgerSchema {
    /// Milliseconds of an hour, by which receipts are exported.
    static let hour: Int64 = 3_600_000

    static let text = """
        CREATE TABLE IF NOT EXISTS routers (
            id BLOB PRIMARY KEY, key BLOB NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS receipts (
            router BLOB NOT NULL REFERENCES routers (id),
            seq INTEGER NOT NULL CHECK (seq > 0),
            id TEXT NOT NULL,
            hour INTEGER NOT NULL,
            account TEXT NOT NULL,
            cost_nusd INTEGER NOT NULL CHECK (cost_nusd >= 0),
            digest BLOB NOT NULL,
            statement TEXT NOT NULL,
            decision TEXT NOT NULL,
            PRIMARY KEY (router, seq),
            UNIQUE (router, id)
        ) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS receipts_by_hour ON receipts (router, hour, seq);
        CREATE TABLE IF NOT EXISTS offers (
            digest BLOB PRIMARY KEY, statement TEXT NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS seeds (
            router BLOB NOT NULL REFERENCES routers (id),
            hour INTEGER NOT NULL,
            seed BLOB NOT NULL,
            PRIMARY KEY (router, hour)
        ) WITHOUT ROWID;
        CREATE TRIGGER IF NOT EXISTS receipts_stay BEFORE UPDATE ON receipts
            BEGIN SELECT RAISE(ABORT, 'receipts are not changed'); END;
        CREATE TRIGGER IF NOT EXISTS receipts_are_kept BEFORE DELETE ON receipts
            BEGIN SELECT RAISE(ABORT, 'receipts are not deleted'); END;
        CREATE TRIGGER IF NOT EXISTS seeds_stay BEFORE UPDATE ON seeds
            BEGIN SELECT RAISE(ABORT, 'seeds are not changed'); END;
        """
}
