internal import CPostgreSQL

/// One connection to a PostgreSQL, for one thread at a time. Once it is lost, so is this.
@safe
final class PostgreSQLDatabase: LedgerDatabase {
    let dialect = LedgerDialect(
        integer: "BIGINT", blob: "BYTEA",
        // Compared by its bytes, as SQLite does, and not by a language.
        text: "TEXT COLLATE \"C\"", table: "", begin: "BEGIN ISOLATION LEVEL READ COMMITTED",
        lock: " FOR UPDATE", exclusive: "SELECT pg_advisory_xact_lock(7521983366742)",
        isMade: "SELECT 1 WHERE to_regclass('ledger') IS NOT NULL",
        guards: { table in
            """
            CREATE FUNCTION \(table)_stay() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION '\(table) are not changed' USING ERRCODE = '23000'; END $$;
            CREATE TRIGGER \(table)_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON \(table)
                EXECUTE FUNCTION \(table)_stay();

            """
        })

    private let connection: OpaquePointer
    /// Statements that were prepared, by their text; the server knows them by their number.
    private var statements: [String: String] = [:]

    /// A commit is on the disk when it returns, or the database is refused. A router that hangs
    /// holds an account for half a minute, and one that waits for it gives up before.
    private static let settings = """
        SET client_encoding = 'UTF8'; SET synchronous_commit = on; SET lock_timeout = '10s';
        SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '30s';
        """

    /// Connects by a `postgresql://` URL, as libpq reads it.
    init(url: String) throws(LedgerError) {
        guard let made = unsafe ratel_PQconnect(url) else {
            throw LedgerError(.unavailable, "no memory for a connection")
        }
        unsafe connection = made
        guard unsafe PQstatus(connection) == CONNECTION_OK else {
            throw unsafe failure(nil)
        }
        try execute(PostgreSQLDatabase.settings)
        guard try rows("SELECT current_setting('fsync')", []).first?[0].text == "on" else {
            throw LedgerError(
                .setting, "expected a PostgreSQL with fsync = on; its commits are not on the disk")
        }
    }

    // Also where opening fails: everything is set by then.
    deinit { unsafe PQfinish(connection) }

    func execute(_ text: String) throws(LedgerError) {
        let result = unsafe PQexec(connection, text)
        defer { unsafe PQclear(result) }
        let status = unsafe PQresultStatus(result)
        guard status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK else {
            throw unsafe failure(result)
        }
        // A transaction that failed before is rolled back by COMMIT, which is no error there.
        let done = unsafe String(cString: PQcmdStatus(result))
        guard text != "COMMIT" || done == "COMMIT" else {
            throw LedgerError(.damaged, "the transaction failed before its end")
        }
    }

    func rows(_ text: String, _ values: [LedgerValue]) throws(LedgerError) -> [[LedgerValue]] {
        let name = try prepare(text)
        let bytes = values.map(PostgreSQLDatabase.bytes)
        let all = bytes.compactMap { $0 }.joined() + [0]
        let lengths = bytes.map { Int32($0?.count ?? 0) }
        // All in binary form.
        let formats = [Int32](repeating: 1, count: values.count)
        let result = unsafe all.withUnsafeBytes { all in
            var offset = 0
            var pointers: [UnsafePointer<CChar>?] = unsafe []
            for one in bytes {
                let start = unsafe all.baseAddress?.advanced(by: offset)
                unsafe pointers.append(
                    one == nil ? nil : start?.assumingMemoryBound(to: CChar.self))
                offset += one?.count ?? 0
            }
            return unsafe PQexecPrepared(
                connection, name, Int32(values.count), pointers, lengths, formats, 1)
        }
        defer { unsafe PQclear(result) }
        switch unsafe PQresultStatus(result) {
        case PGRES_COMMAND_OK: return []
        case PGRES_TUPLES_OK: return try unsafe read(result)
        default: throw unsafe failure(result)
        }
    }

    // The server infers the types of the placeholders from the columns that they stand for.
    private func prepare(_ text: String) throws(LedgerError) -> String {
        if let known = statements[text] { return known }
        let name = "s\(statements.count)"
        let result = unsafe PQprepare(connection, name, text, 0, nil)
        defer { unsafe PQclear(result) }
        guard unsafe PQresultStatus(result) == PGRES_COMMAND_OK else {
            throw unsafe failure(result)
        }
        statements[text] = name
        return name
    }

    private static func bytes(_ value: LedgerValue) -> [UInt8]? {
        switch value {
        case .null: nil
        case .integer(let number):
            (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) }
        case .text(let text): Array(text.utf8)
        case .blob(let bytes): bytes
        }
    }

    // MARK: Results

    @unsafe private func read(
        _ result: OpaquePointer?
    ) throws(LedgerError) -> [[LedgerValue]] {
        var rows: [[LedgerValue]] = []
        for row in 0..<(unsafe PQntuples(result)) {
            var values: [LedgerValue] = []
            for column in 0..<(unsafe PQnfields(result)) {
                values.append(try unsafe value(result, row, column))
            }
            rows.append(values)
        }
        return rows
    }

    @unsafe private func value(
        _ result: OpaquePointer?, _ row: Int32, _ column: Int32
    ) throws(LedgerError) -> LedgerValue {
        guard unsafe PQgetisnull(result, row, column) == 0 else { return .null }
        let bytes = unsafe UnsafeRawBufferPointer(
            start: PQgetvalue(result, row, column),
            count: Int(PQgetlength(result, row, column)))
        // Numbers of types that never change: `pg_type.dat`.
        switch unsafe PQftype(result, column) {
        case 20, 23:
            let first: Int64 = unsafe bytes.first.map { $0 >= 0x80 ? -1 : 0 } ?? 0
            return .integer(unsafe bytes.reduce(first) { $0 << 8 | Int64($1) })
        case 25: return .text(unsafe String(decoding: bytes, as: UTF8.self))
        case 17: return .blob(unsafe Array(bytes))
        case let type: throw LedgerError(.damaged, "a column has the type \(type)")
        }
    }

    // MARK: Failures

    @unsafe private func failure(_ result: OpaquePointer?) -> LedgerError {
        let message = unsafe String(cString: PQerrorMessage(connection))
        let lines = message.split(separator: "\n").joined(separator: "; ")
        guard unsafe PQstatus(connection) == CONNECTION_OK else {
            return LedgerError(.unavailable, "PostgreSQL: \(lines)")
        }
        let state = unsafe PQresultErrorField(result, 67 /* PG_DIAG_SQLSTATE, 'C' */)
        let text = unsafe state.map { unsafe String(cString: $0) } ?? ""
        return LedgerError(PostgreSQLDatabase.code(text), "PostgreSQL \(text): \(lines)")
    }

    /// By the classes of SQLSTATE (PostgreSQL's Appendix A).
    private static func code(_ state: String) -> LedgerError.Code {
        switch state.prefix(2) {
        // Data that does not fit, and constraints.
        case "22", "23": .invalid
        // Connection, transaction to be repeated, no room, locked, ended by the operator, a disk.
        case "08", "25", "40", "53", "55", "57", "58": .unavailable
        // Rights, names, syntax: the database is not as it was made.
        default: .damaged
        }
    }
}
