internal import Keys
public import Receipts

/// Requests that are not over, and what is reserved for them.
extension Ledger {
    /// Notes requests before a provider gets them, in one commit, and reserves what each can cost.
    ///
    /// Call it once the first provider is chosen, and before the request goes there; and again
    /// with the same id when another is asked, which replaces what was noted and reserves the
    /// difference. What is refused leaves everything as it was. The same twice is once.
    public func begin(_ requests: [Pending]) throws(LedgerError) -> [Admission] {
        precondition(requests.count <= Ledger.maxBatch, "one batch")
        guard !requests.isEmpty else { return [] }
        return try write(accounts: requests.map(\.account)) { () throws(LedgerError) in
            var admissions: [Admission] = []
            for request in requests { admissions.append(try admit(request)) }
            return admissions
        }
    }

    /// What was begun by this router and is not over, oldest first: once it starts, what a crash
    /// left. Each is to be written with the facts that its provider signed, or abandoned.
    public func pending() throws(LedgerError) -> [Pending] {
        let rows = try database.query(
            "SELECT \(PendingRow.columns) FROM pending WHERE router = $1 ORDER BY started_ms, id",
            .blob(router))
        var found: [Pending] = []
        for row in rows {
            guard let pending = PendingRow.read(row) else {
                throw LedgerError(
                    .damaged, "the pending request \(row[0].text ?? "") cannot be read")
            }
            found.append(pending)
        }
        return found
    }

    /// Ends a request that nobody served: a receipt with the end `error` and no service, which
    /// bills nothing. Nil for what was never begun; a receipt that it has already is answered.
    @discardableResult
    public func abandon(_ id: String, at time: Int64) throws(LedgerError) -> SignedStatement? {
        try write { () throws(LedgerError) in
            let rows = try database.query(
                "SELECT \(PendingRow.columns) FROM pending WHERE router = $1 AND id = $2",
                .blob(router), .text(id))
            guard let row = rows.first else { return try receipt(id) }
            guard let pending = PendingRow.read(row) else {
                throw LedgerError(.damaged, "the pending request \(id) cannot be read")
            }
            return try append([pending.failed(at: time)]).first
        }
    }

    private func admit(_ request: Pending) throws(LedgerError) -> Admission {
        guard (0...Int64(CanonicalJSON.maxNumber)).contains(request.reserve) else {
            throw LedgerError(.invalid, "request \(request.id): reserves \(request.reserve)")
        }
        guard try receipt(request.id) == nil else { return .over }
        _ = try start(ofSeed: request.seedCommitment)
        let rows = try database.query(
            "SELECT reserve, account FROM pending WHERE router = $1 AND id = $2", .blob(router),
            .text(request.id))
        let before = rows.first?[0].integer
        guard before == nil || rows.first?[1].text == request.account else {
            throw LedgerError(.invalid, "request \(request.id): begun by another account")
        }
        let more = request.reserve - (before ?? 0)
        if before == nil || more > 0 {
            let balance = try balance(of: request.account, at: request.started)
            guard balance.terms != nil else { return .unknown }
            if let available = balance.available, available < more {
                return .refused(available: max(0, available))
            }
        }
        try reserve(more, of: request.account)
        try note(request)
        return .admitted
    }

    private func note(_ request: Pending) throws(LedgerError) {
        try database.run(
            """
            INSERT INTO pending (router, \(PendingRow.columns))
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            ON CONFLICT (router, id) DO UPDATE SET
                reserve = excluded.reserve, decision = excluded.decision,
                attempts = excluded.attempts, offer = excluded.offer, price = excluded.price
            """, .blob(router), .text(request.id), .text(request.account),
            .integer(request.reserve), .integer(request.started), .blob(request.policy),
            .blob(request.seedCommitment), .text(request.decision.json.serialised()),
            .text(PendingRow.text(request.attempts)), .optional(request.offer),
            .optional(request.price.map(PendingRow.text)))
    }
}

/// How a pending request stands in its row.
private enum PendingRow {
    /// In the order in which they are read and written.
    static let columns = """
        id, account, reserve, started_ms, policy, seed_commitment, decision, attempts, offer, price
        """

    static func text(_ attempts: [Receipt.Attempt]) -> String {
        JSONValue.array(
            attempts.map {
                .members([
                    ("offer_hash", .string(Hex.encode($0.offer))),
                    ("outcome", .string($0.outcome.rawValue)),
                ])
            }
        ).serialised()
    }

    static func text(_ price: Price) -> String {
        JSONValue.members([
            ("in", .integer(price.input)), ("cache_read", .integer(price.cached)),
            ("out", .integer(price.output)), ("min_charge", .integer(price.minimum)),
        ]).serialised()
    }

    /// Reads `columns`.
    static func read(_ row: [LedgerValue]) -> Ledger.Pending? {
        guard let id = row[0].text, let account = row[1].text, let reserve = row[2].integer,
            let started = row[3].integer, let policy = row[4].blob, let seed = row[5].blob,
            let parts = parse(row[6]),
            let decision = try? Decision(
                request: parts["request"], candidates: parts["candidates"], at: "pending"),
            let attempts = parse(row[7])?.items?.map(attempt)
        else { return nil }
        let price = parse(row[9]).flatMap(price)
        guard !attempts.contains(nil), (row[8].blob == nil) == (price == nil) else { return nil }
        return Ledger.Pending(
            id: id, account: account, reserve: reserve, started: started, decision: decision,
            attempts: attempts.compactMap { $0 }, offer: row[8].blob, price: price,
            policy: policy, seedCommitment: seed)
    }

    private static func parse(_ value: LedgerValue) -> JSONValue? {
        value.text.flatMap { JSONParser.parse(Array($0.utf8)) }
    }

    private static func attempt(_ value: JSONValue) -> Receipt.Attempt? {
        guard let offer = value["offer_hash"]?.text.flatMap(Hex.decode),
            let outcome = value["outcome"]?.text.flatMap(Receipt.Attempt.Outcome.init)
        else { return nil }
        return Receipt.Attempt(offer: offer, outcome: outcome)
    }

    private static func price(_ value: JSONValue) -> Price? {
        let numbers = ["in", "cache_read", "out", "min_charge"].map { value[$0]?.integer }
        guard !numbers.contains(nil) else { return nil }
        let known = numbers.compactMap { $0.map { Int64($0) } }
        return Price(input: known[0], cached: known[1], output: known[2], minimum: known[3])
    }
}
