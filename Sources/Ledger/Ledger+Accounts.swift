internal import Keys
internal import Receipts

/// What accounts may spend, have spent, and have reserved.
extension Ledger {
    /// When an account pays, and how much it may owe.
    public enum Terms: Sendable, Equatable {
        /// By UTC.
        public enum Period: String, Sendable, CaseIterable {
            case day, month
        }

        /// It spends what it was credited.
        case prepaid
        /// It spends up to `budget` nano-dollars in each period; without one, what it wants.
        case postpaid(budget: Int64?, period: Period)
    }

    /// What an account has, in nano-dollars.
    public struct Balance: Sendable, Equatable {
        /// Nil for an account that was given none: it may begin nothing.
        public var terms: Terms?
        /// Sums over all that was credited, and over all receipts.
        public var credits: Int64
        public var billed: Int64
        /// The sum over what is pending, of all routers.
        public var reserved: Int64
        /// What it was billed in the current period of its budget; 0 without one.
        public var billedInPeriod: Int64
        /// What it may still reserve; nil for as much as it wants.
        public var available: Int64?
    }

    /// Gives an account its terms, from its next request on. One without terms begins nothing.
    public func set(account: String, terms: Terms) throws(LedgerError) {
        let (kind, budget, period): (String, Int64?, Terms.Period?) =
            switch terms {
            case .prepaid: ("prepaid", nil, nil)
            case .postpaid(let budget, let period): ("postpaid", budget, period)
            }
        guard budget.map({ (0...LedgerSchema.maxSum).contains($0) }) ?? true else {
            throw LedgerError(.invalid, "a budget of \(budget ?? 0)")
        }
        try write(accounts: [account]) { () throws(LedgerError) in
            try database.run(
                """
                UPDATE accounts SET terms = $1, budget = $2, budget_period = $3
                WHERE account = $4
                """, .text(kind), .optional(budget), .optional(period?.rawValue), .text(account))
        }
    }

    /// Credits an account with what it paid, once for each `reference`; what is taken back is
    /// negative. False where it was credited before.
    ///
    /// Errors: `invalid` where the reference stands for another amount.
    @discardableResult
    public func credit(
        account: String, amount: Int64, reference: String
    ) throws(LedgerError) -> Bool {
        guard amount != 0, abs(amount) <= Int64(CanonicalJSON.maxNumber) else {
            throw LedgerError(.invalid, "a credit of \(amount)")
        }
        return try write(accounts: [account]) { () throws(LedgerError) in
            let rows = try database.query(
                "SELECT amount FROM credits WHERE account = $1 AND reference = $2",
                .text(account), .text(reference))
            if let known = rows.first?[0].integer {
                guard known == amount else {
                    throw LedgerError(
                        .invalid, "reference \(reference): expected \(known), got \(amount)")
                }
                return false
            }
            try database.run(
                "INSERT INTO credits (account, reference, amount) VALUES ($1, $2, $3)",
                .text(account), .text(reference), .integer(amount))
            try database.run(
                "UPDATE accounts SET credits = credits + $1 WHERE account = $2",
                .integer(amount), .text(account))
            return true
        }
    }

    /// What an account has at `time`, in milliseconds since 1970.
    public func balance(of account: String, at time: Int64) throws(LedgerError) -> Balance {
        let rows = try database.query(
            """
            SELECT credits, billed, reserved, terms, budget, budget_period FROM accounts
            WHERE account = $1
            """, .text(account))
        var balance = Balance(
            terms: nil, credits: 0, billed: 0, reserved: 0, billedInPeriod: 0, available: 0)
        guard let row = rows.first else { return balance }
        guard let credits = row[0].integer, let billed = row[1].integer,
            let reserved = row[2].integer
        else { throw LedgerError(.damaged, "the account \(account) cannot be read") }
        (balance.credits, balance.billed, balance.reserved) = (credits, billed, reserved)
        balance.terms = Ledger.terms(row[3], row[4], row[5])
        switch balance.terms {
        case .prepaid: balance.available = Ledger.left(of: credits, billed, reserved)
        case .postpaid(let budget?, let period):
            balance.billedInPeriod = try spent(account, period, time)
            balance.available = Ledger.left(of: budget, balance.billedInPeriod, reserved)
        case .postpaid(nil, _): balance.available = nil
        case nil: break
        }
        return balance
    }

    private static func terms(
        _ kind: LedgerValue, _ budget: LedgerValue, _ period: LedgerValue
    ) -> Terms? {
        switch kind.text {
        case "prepaid": .prepaid
        case "postpaid":
            period.text.flatMap(Terms.Period.init).map {
                .postpaid(budget: budget.integer, period: $0)
            }
        default: nil
        }
    }

    private static func left(of all: Int64, _ billed: Int64, _ reserved: Int64) -> Int64 {
        Int64(clamping: Int128(all) - Int128(billed) - Int128(reserved))
    }

    // Of two routers whose clocks differ, neither spends yesterday what the other spent today.
    private func spent(
        _ account: String, _ period: Terms.Period, _ time: Int64
    ) throws(LedgerError) -> Int64 {
        // A month has 31 days at most.
        let rows = try database.query(
            "SELECT day, billed FROM spending WHERE account = $1 ORDER BY day DESC LIMIT 31",
            .text(account))
        let days = rows.compactMap { row -> (day: Int64, billed: Int64)? in
            guard let day = row[0].integer, let billed = row[1].integer else { return nil }
            return (day, billed)
        }
        let today = max(time / LedgerSchema.day, days.first?.day ?? 0)
        return days.reduce(0) { sum, one in
            let isCurrent = period == .day ? one.day == today : UTC.isSameMonth(one.day, today)
            return isCurrent ? Int64(clamping: Int128(sum) + Int128(one.billed)) : sum
        }
    }
}

// Inside a transaction.
extension Ledger {
    /// Holds an account's row until the end, and makes it where it is new.
    func lock(_ account: String) throws(LedgerError) {
        try database.run(
            "INSERT INTO accounts (account) VALUES ($1) ON CONFLICT DO NOTHING", .text(account))
        guard !database.dialect.lock.isEmpty else { return }
        try database.run(
            "SELECT account FROM accounts WHERE account = $1" + database.dialect.lock,
            .text(account))
    }

    func reserve(_ more: Int64, of account: String) throws(LedgerError) {
        guard more != 0 else { return }
        try database.run(
            "UPDATE accounts SET reserved = reserved + $1 WHERE account = $2", .integer(more),
            .text(account))
    }

    /// Ends a request's reservation and adds what it cost to the account's sums.
    func bill(_ receipt: Receipt) throws(LedgerError) {
        let rows = try database.query(
            "DELETE FROM pending WHERE router = $1 AND id = $2 RETURNING reserve, account",
            .blob(router), .text(receipt.id))
        guard rows.first.map({ $0[1].text == receipt.account }) ?? true else {
            throw LedgerError(.invalid, "request \(receipt.id): begun by another account")
        }
        try database.run(
            """
            UPDATE accounts SET reserved = reserved - $1, billed = billed + $2 WHERE account = $3
            """, .integer(rows.first?[0].integer ?? 0), .integer(receipt.cost),
            .text(receipt.account))
        guard receipt.cost > 0 else { return }
        try database.run(
            """
            INSERT INTO spending (account, day, billed) VALUES ($1, $2, $3)
            ON CONFLICT (account, day) DO UPDATE SET billed = spending.billed + excluded.billed
            """, .text(receipt.account), .integer(receipt.time / LedgerSchema.day),
            .integer(receipt.cost))
    }
}
