/// A value of a column or a placeholder.
enum LedgerValue: Equatable {
    case null
    case integer(Int64)
    case text(String)
    case blob([UInt8])

    var integer: Int64? { if case .integer(let value) = self { value } else { nil } }
    var text: String? { if case .text(let value) = self { value } else { nil } }
    var blob: [UInt8]? { if case .blob(let value) = self { value } else { nil } }

    /// The value, or NULL.
    static func optional(_ value: Int64?) -> LedgerValue { value.map { .integer($0) } ?? .null }
    static func optional(_ value: [UInt8]?) -> LedgerValue { value.map { .blob($0) } ?? .null }
    static func optional(_ value: String?) -> LedgerValue { value.map { .text($0) } ?? .null }
}

/// What a ledger needs of a database: one connection, for one thread at a time, whose commits are
/// on the disk when they return.
///
/// A placeholder is `$1`, `$2` and so on, and stands first in that order: SQLite numbers names by
/// where they first stand, PostgreSQL reads the number.
protocol LedgerDatabase: AnyObject {
    var dialect: LedgerDialect { get }

    /// Runs several statements without values, such as a schema.
    func execute(_ text: String) throws(LedgerError)

    /// The rows that one statement answers, with values for its placeholders.
    func rows(_ text: String, _ values: [LedgerValue]) throws(LedgerError) -> [[LedgerValue]]
}

/// Where the two databases have different words for the same.
struct LedgerDialect {
    /// Names of types.
    let integer, blob, text: String
    /// What stands behind a table's columns.
    let table: String
    /// Begins a transaction that writes.
    let begin: String
    /// Ends a SELECT whose rows stay as they are until the transaction ends.
    let lock: String
    /// Lets one process at a time make the tables; it holds until the transaction ends.
    let exclusive: String
    /// Answers a row where the tables are there.
    let isMade: String
    /// Refuses that rows of a table are changed or deleted.
    let guards: (_ table: String) -> String
}

extension LedgerDatabase {
    func run(_ text: String, _ values: LedgerValue...) throws(LedgerError) {
        _ = try rows(text, values)
    }

    func query(_ text: String, _ values: LedgerValue...) throws(LedgerError) -> [[LedgerValue]] {
        try rows(text, values)
    }

    /// All of what `body` does, or nothing of it.
    func transaction<Result>(
        _ body: () throws(LedgerError) -> Result
    ) throws(LedgerError) -> Result {
        try execute(dialect.begin)
        do throws(LedgerError) {
            let result = try body()
            try execute("COMMIT")
            return result
        } catch {
            try? execute("ROLLBACK")
            throw error
        }
    }
}
