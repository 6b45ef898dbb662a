internal import CSQLite

/// One connection to a SQLite file, for one thread at a time.
@safe
final class SQLiteDatabase: LedgerDatabase {
    private let handle: OpaquePointer
    /// Statements that were prepared, by their text: some ten, each used again and again.
    private var statements: [String: OpaquePointer] = unsafe [:]

    /// Opens the file at `path`, or makes it. A commit is on the disk when it returns: write-ahead
    /// log, `synchronous=FULL`.
    init(path: String) throws(LedgerError) {
        var opened: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX
        let status = unsafe sqlite3_open_v2(path, &opened, flags, nil)
        guard status == SQLITE_OK, let opened = unsafe opened else {
            let why = unsafe String(cString: sqlite3_errstr(status))
            unsafe sqlite3_close_v2(opened)
            throw LedgerError(SQLiteDatabase.code(status), "\(path): cannot be opened: \(why)")
        }
        unsafe handle = opened
        // Another process may be reading; it is done within a second.
        unsafe sqlite3_busy_timeout(handle, 5_000)
        for setting in [
            "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON",
            "PRAGMA trusted_schema=OFF",
        ] {
            _ = try rows(setting, [])
        }
    }

    // Also where opening fails: everything is set by then.
    deinit {
        while let last = unsafe statements.popFirst() { unsafe sqlite3_finalize(last.value) }
        unsafe sqlite3_close_v2(handle)
    }

    let dialect = LedgerDialect(
        integer: "INTEGER", blob: "BLOB", text: "TEXT", table: "WITHOUT ROWID",
        // Whoever writes says so at once: two that read first would wait for each other.
        // Which is also why one process at a time makes the tables.
        begin: "BEGIN IMMEDIATE", lock: "", exclusive: "SELECT 1",
        isMade: "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'ledger'",
        guards: { table in
            ["UPDATE", "DELETE"].map { event in
                """
                CREATE TRIGGER \(table)_stay_at_\(event) BEFORE \(event) ON \(table)
                    BEGIN SELECT RAISE(ABORT, '\(table) are not changed'); END;

                """
            }.joined()
        })

    func execute(_ text: String) throws(LedgerError) {
        guard unsafe sqlite3_exec(handle, text, nil, nil, nil) == SQLITE_OK else { throw failure }
    }

    func rows(_ text: String, _ values: [LedgerValue]) throws(LedgerError) -> [[LedgerValue]] {
        let statement = unsafe try prepare(text)
        defer {
            unsafe sqlite3_reset(statement)
            unsafe sqlite3_clear_bindings(statement)
        }
        for (index, value) in values.enumerated() {
            guard unsafe bind(value, to: statement, at: Int32(index + 1)) == SQLITE_OK else {
                throw failure
            }
        }
        var rows: [[LedgerValue]] = []
        while true {
            switch unsafe sqlite3_step(statement) {
            case SQLITE_ROW:
                unsafe rows.append(columns(of: statement))
            case SQLITE_DONE: return rows
            default: throw failure
            }
        }
    }

    @unsafe private func prepare(_ text: String) throws(LedgerError) -> OpaquePointer {
        if let known = unsafe statements[text] { return unsafe known }
        var made: OpaquePointer?
        guard
            unsafe sqlite3_prepare_v3(
                handle, text, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &made, nil)
                == SQLITE_OK, let made = unsafe made
        else { throw failure }
        unsafe statements[text] = made
        return unsafe made
    }

    @unsafe private func bind(
        _ value: LedgerValue, to statement: OpaquePointer, at index: Int32
    ) -> Int32 {
        switch value {
        case .null: unsafe sqlite3_bind_null(statement, index)
        case .integer(let number): unsafe sqlite3_bind_int64(statement, index, number)
        case .text(let text):
            unsafe ratel_sqlite3_bind_text(statement, index, text, Int32(text.utf8.count))
        case .blob(let bytes):
            unsafe ratel_sqlite3_bind_blob(statement, index, bytes, Int32(bytes.count))
        }
    }

    @unsafe private func columns(of statement: OpaquePointer) -> [LedgerValue] {
        let count = unsafe sqlite3_column_count(statement)
        return (0..<count).map { unsafe column($0, of: statement) }
    }

    @unsafe private func column(_ index: Int32, of statement: OpaquePointer) -> LedgerValue {
        let count = Int(unsafe sqlite3_column_bytes(statement, index))
        switch unsafe sqlite3_column_type(statement, index) {
        case SQLITE_INTEGER: return .integer(unsafe sqlite3_column_int64(statement, index))
        case SQLITE_TEXT:
            guard let text = unsafe sqlite3_column_text(statement, index) else { return .null }
            return .text(
                unsafe String(
                    decoding: UnsafeBufferPointer(start: text, count: count), as: UTF8.self))
        case SQLITE_BLOB:
            guard let bytes = unsafe sqlite3_column_blob(statement, index) else { return .blob([]) }
            return .blob(unsafe Array(UnsafeRawBufferPointer(start: bytes, count: count)))
        default: return .null
        }
    }

    private var failure: LedgerError {
        LedgerError(
            SQLiteDatabase.code(unsafe sqlite3_errcode(handle)),
            unsafe String(cString: sqlite3_errmsg(handle)))
    }

    private static func code(_ status: Int32) -> LedgerError.Code {
        switch status & 0xFF {
        case SQLITE_CONSTRAINT, SQLITE_TOOBIG, SQLITE_MISMATCH, SQLITE_RANGE: .invalid
        case SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_ERROR: .damaged
        // Locked by another, no room, a disk that does not answer, a folder that is not there yet.
        default: .unavailable
        }
    }
}
