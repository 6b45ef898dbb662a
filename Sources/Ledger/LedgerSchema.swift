internal import Keys

/// The tables, the same in each database.
///
/// What is written stays: receipts, offers, Evidence, seeds, credits and exports are neither
/// changed nor deleted. Only sums, terms and what is pending change.
enum LedgerSchema {
    /// Milliseconds of a day, by which spending is summed.
    static let day: Int64 = 86_400_000

    /// The largest sum that is kept, in nano-dollars: 2^62, 4.6 billion dollars. What would go
    /// over it fails, and sums of three stay within 128 bits.
    static let maxSum: Int64 = 1 << 62

    /// Of these tables. A ledger of another version is not opened.
    static let version: Int64 = 2

    /// Makes the tables where there are none, inside a transaction; answers the ledger's secret.
    static func make(in database: any LedgerDatabase) throws(LedgerError) -> [UInt8] {
        try database.execute(database.dialect.exclusive)
        if try database.query(database.dialect.isMade).isEmpty {
            try database.execute(statements(database.dialect))
            try database.run(
                "INSERT INTO ledger (version, secret) VALUES ($1, $2)", .integer(version),
                .blob(SecureRandom.bytes(32)))
        }
        let found = try database.query("SELECT version FROM ledger").first?[0].integer
        guard found == version else {
            throw LedgerError(
                .setting,
                "expected tables of version \(version), got \(found ?? 0): use the "
                    + "release that made them")
        }
        guard let secret = try database.query("SELECT secret FROM ledger").first?[0].blob,
            secret.count == 32
        else { throw LedgerError(.damaged, "no secret") }
        return secret
    }

    private static func statements(_ dialect: LedgerDialect) -> String {
        let (number, bytes, text) = (dialect.integer, dialect.blob, dialect.text)
        let sum = "\(number) NOT NULL DEFAULT 0 CHECK"
        return """
            CREATE TABLE ledger (
                version \(number) PRIMARY KEY, secret \(bytes) NOT NULL
            ) \(dialect.table);
            CREATE TABLE routers (
                id \(bytes) PRIMARY KEY, key \(bytes) NOT NULL,
                period_ms \(number) NOT NULL CHECK (period_ms > 0),
                closed_ms \(number) NOT NULL DEFAULT 0
            ) \(dialect.table);
            CREATE TABLE receipts (
                router \(bytes) NOT NULL REFERENCES routers (id),
                seq \(number) NOT NULL CHECK (seq > 0),
                id \(text) NOT NULL,
                time_ms \(number) NOT NULL,
                period \(number) NOT NULL,
                account \(text) NOT NULL,
                cost_nusd \(number) NOT NULL CHECK (cost_nusd >= 0),
                digest \(bytes) NOT NULL,
                statement \(text) NOT NULL,
                decision \(text) NOT NULL,
                PRIMARY KEY (router, seq),
                UNIQUE (router, id)
            ) \(dialect.table);
            CREATE INDEX receipts_by_period ON receipts (router, period, seq);
            CREATE INDEX receipts_by_id ON receipts (id);
            CREATE INDEX receipts_by_account ON receipts (account, time_ms);
            CREATE TABLE offers (
                digest \(bytes) PRIMARY KEY, statement \(text) NOT NULL
            ) \(dialect.table);
            CREATE TABLE evidence (
                router \(bytes) NOT NULL REFERENCES routers (id),
                key \(bytes) NOT NULL,
                period \(number) NOT NULL,
                session \(text) NOT NULL,
                document \(text) NOT NULL,
                PRIMARY KEY (router, key, period, session)
            ) \(dialect.table);
            CREATE TABLE seeds (
                router \(bytes) NOT NULL REFERENCES routers (id),
                period \(number) NOT NULL,
                seed \(bytes) NOT NULL,
                commitment \(bytes) NOT NULL,
                PRIMARY KEY (router, period),
                UNIQUE (router, commitment)
            ) \(dialect.table);
            CREATE TABLE exports (
                router \(bytes) NOT NULL REFERENCES routers (id),
                period \(number) NOT NULL,
                statement \(text) NOT NULL,
                PRIMARY KEY (router, period)
            ) \(dialect.table);
            CREATE TABLE accounts (
                account \(text) PRIMARY KEY,
                terms \(text) CHECK (terms IN ('prepaid', 'postpaid')),
                budget \(number),
                budget_period \(text) CHECK (budget_period IN ('day', 'month')),
                credits \(sum) (abs(credits) <= \(maxSum)),
                billed \(sum) (billed BETWEEN 0 AND \(maxSum)),
                reserved \(sum) (reserved BETWEEN 0 AND \(maxSum))
            ) \(dialect.table);
            CREATE TABLE spending (
                account \(text) NOT NULL REFERENCES accounts (account),
                day \(number) NOT NULL,
                billed \(number) NOT NULL CHECK (billed BETWEEN 0 AND \(maxSum)),
                PRIMARY KEY (account, day)
            ) \(dialect.table);
            CREATE TABLE credits (
                account \(text) NOT NULL REFERENCES accounts (account),
                reference \(text) NOT NULL,
                amount \(number) NOT NULL,
                PRIMARY KEY (account, reference)
            ) \(dialect.table);
            CREATE TABLE pending (
                router \(bytes) NOT NULL REFERENCES routers (id),
                id \(text) NOT NULL,
                account \(text) NOT NULL REFERENCES accounts (account),
                reserve \(number) NOT NULL CHECK (reserve >= 0),
                started_ms \(number) NOT NULL,
                policy \(bytes) NOT NULL,
                seed_commitment \(bytes) NOT NULL,
                decision \(text) NOT NULL,
                attempts \(text) NOT NULL,
                offer \(bytes),
                price \(text),
                PRIMARY KEY (router, id)
            ) \(dialect.table);

            """
                + ["receipts", "offers", "evidence", "seeds", "exports", "credits"].map(
                    dialect.guards
                ).joined()
    }
}
