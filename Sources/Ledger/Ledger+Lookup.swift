internal import Keys
public import Receipts

/// Looking up what was written, of all routers that share the database.
extension Ledger {
    /// A receipt with what it committed to.
    public struct Found: Sendable, Equatable {
        public var statement: SignedStatement
        public var decision: Decision
    }

    /// Receipts of one answer at most: some 3 KiB each.
    public static let maxFound = 1_000

    /// The receipt with this id, and its decision.
    public func find(_ id: String) throws(LedgerError) -> Found? {
        let rows = try database.query(
            "SELECT statement, decision FROM receipts WHERE id = $1 LIMIT 1", .text(id))
        guard let row = rows.first else { return nil }
        let parts = row[1].text.flatMap { JSONParser.parse(Array($0.utf8)) }
        guard
            let decision = try? Decision(
                request: parts?["request"], candidates: parts?["candidates"], at: "decision")
        else { throw LedgerError(.damaged, "the decision of receipt \(id) cannot be read") }
        return Found(statement: try Ledger.statement(.receipt, row[0]), decision: decision)
    }

    /// An account's newest receipts, the newest first.
    public func receipts(
        ofAccount account: String, limit: Int
    ) throws(LedgerError) -> [SignedStatement] {
        try statements(
            """
            SELECT statement FROM receipts WHERE account = $1
            ORDER BY time_ms DESC, seq DESC LIMIT $2
            """, [.text(account), Ledger.limit(limit)])
    }

    /// The newest receipts of all, the newest first.
    public func newest(limit: Int) throws(LedgerError) -> [SignedStatement] {
        try statements(
            "SELECT statement FROM receipts WHERE router = $1 ORDER BY seq DESC LIMIT $2",
            [.blob(router), Ledger.limit(limit)])
    }

    /// Receipts whose id begins so, in the order of their ids.
    public func receipts(
        withPrefix prefix: String, limit: Int
    ) throws(LedgerError) -> [SignedStatement] {
        // Ids are compared by their bytes: behind all that begin so is the last character there is.
        try statements(
            "SELECT statement FROM receipts WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3",
            [.text(prefix), .text(prefix + "\u{10FFFF}"), Ledger.limit(limit)])
    }

    private func statements(
        _ text: String, _ values: [LedgerValue]
    ) throws(LedgerError) -> [SignedStatement] {
        var found: [SignedStatement] = []
        for row in try database.rows(text, values) {
            found.append(try Ledger.statement(.receipt, row[0]))
        }
        return found
    }

    private static func limit(_ limit: Int) -> LedgerValue {
        .integer(Int64(max(0, min(limit, maxFound))))
    }
}
