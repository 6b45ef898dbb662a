public import Keys
public import RATS

/// A router's account of one request: the provider's facts, how it was chosen, and what it costs
/// (routing.md, "Receipt").
public struct Receipt: Sendable, Equatable {
    /// One provider that was asked, in order; the last one served or failed for good.
    public struct Attempt: Sendable, Equatable {
        /// What came of it.
        public enum Outcome: String, Sendable, CaseIterable {
            /// It is what the caller got.
            case served
            /// No connection, no admission, or no answer before its time.
            case failed
            /// It said that it was full.
            case saturated
        }

        public var offer: [UInt8]
        public var outcome: Outcome

        public init(offer: [UInt8], outcome: Outcome) {
            self.offer = offer
            self.outcome = outcome
        }
    }

    public var id: String
    /// Rises by one with each receipt of this router since its key was made, from 1 on.
    public var sequence: Int64
    /// The digest of the receipt before; zeros for the first.
    public var previous: [UInt8]
    /// HMAC of the caller's key: receipts of one account belong together, and name nobody.
    public var account: String
    /// What the provider signed; nil where none served.
    public var service: SignedStatement?
    /// The offer that it was served under; nil where none served.
    public var offer: [UInt8]?
    /// The price of that offer, as it stood when the request came.
    public var price: Price?
    /// What is billed, and what for, in nano-dollars.
    public var usage: Usage
    public var cost: Int64
    public var attempts: [Attempt]
    /// SHA-256 over the router's policy of providers.
    public var policy: [UInt8]
    /// The root over the candidates, and the commitment to the seed of the draw.
    public var candidatesRoot: [UInt8]
    public var seedCommitment: [UInt8]
    public var end: ServiceEnd
    /// Milliseconds since 1970 at which it was written.
    public var time: Int64

    /// Describes one; `sequence`, `previous` and `candidatesRoot` are a ledger's to fill in.
    public init(
        id: String, account: String, service: SignedStatement?, offer: [UInt8]?, price: Price?,
        usage: Usage, cost: Int64, attempts: [Attempt], policy: [UInt8], seedCommitment: [UInt8],
        end: ServiceEnd, time: Int64
    ) {
        self.id = id
        self.account = account
        self.service = service
        self.offer = offer
        self.price = price
        self.usage = usage
        self.cost = cost
        self.attempts = attempts
        self.policy = policy
        self.seedCommitment = seedCommitment
        self.end = end
        self.time = time
        sequence = 0
        previous = [UInt8](repeating: 0, count: 32)
        candidatesRoot = [UInt8](repeating: 0, count: 32)
    }

    /// Attempts at most: a caller waits for each.
    public static let maxAttempts = 64

    /// What is signed.
    public var json: JSONValue {
        .members([
            ("receipt_id", .string(id)), ("seq", .integer(sequence)),
            ("prev", .string(Hex.encode(previous))), ("account", .string(account)),
            ("service", service?.json ?? .null),
            ("offer_hash", offer.map { .string(Hex.encode($0)) } ?? .null),
            ("price_nusd_per_mtok", price?.json ?? .null),
            ("min_charge", price.map { .integer($0.minimum) } ?? .null),
            ("usage", usage.json), ("cost_nusd", .integer(cost)),
            (
                "attempts",
                .array(
                    attempts.map {
                        .members([
                            ("offer_hash", .string(Hex.encode($0.offer))),
                            ("outcome", .string($0.outcome.rawValue)),
                        ])
                    })
            ),
            ("policy_hash", .string(Hex.encode(policy))),
            ("candidates_root", .string(Hex.encode(candidatesRoot))),
            ("seed_commitment", .string(Hex.encode(seedCommitment))),
            ("end", .string(end.rawValue)), ("time_ms", .integer(time)),
        ])
    }
}

extension Receipt {
    private static let names = [
        "receipt_id", "seq", "prev", "account", "service", "offer_hash", "price_nusd_per_mtok",
        "min_charge", "usage", "cost_nusd", "attempts", "policy_hash", "candidates_root",
        "seed_commitment", "end", "time_ms",
    ]

    /// Reads what was signed; whether it adds up is `ReceiptAudit`'s. Errors: those of its parts.
    public init(_ statement: SignedStatement) throws(Refusal) {
        let fields = try StatementFields(
            statement.kind == .receipt ? statement.body : nil, at: "receipt", Receipt.names)
        let isServed = fields.value("service") != .null
        var attempts: [Attempt] = []
        for (index, item) in try fields.items("attempts", atMost: Receipt.maxAttempts).enumerated()
        {
            let entry = try StatementFields(
                item, at: "receipt.attempts[\(index)]", ["offer_hash", "outcome"])
            attempts.append(
                Attempt(
                    offer: try entry.digest("offer_hash"),
                    outcome: try entry.word("outcome", Attempt.Outcome.self)))
        }
        self.init(
            id: try fields.text("receipt_id"), account: try fields.text("account"),
            service: isServed
                ? try SignedStatement(.service, reading: fields.value("service")) : nil,
            offer: isServed ? try fields.digest("offer_hash") : nil,
            price: isServed
                ? try Price(
                    fields.value("price_nusd_per_mtok"), at: "receipt.price_nusd_per_mtok",
                    minimum: try fields.number("min_charge", 0...Price.max)) : nil,
            usage: try Usage(fields.value("usage"), at: "receipt.usage"),
            cost: try fields.number("cost_nusd"), attempts: attempts,
            policy: try fields.digest("policy_hash"),
            seedCommitment: try fields.digest("seed_commitment"),
            end: try fields.word("end", ServiceEnd.self), time: try fields.number("time_ms"))
        sequence = try fields.number("seq", 1...Int64(CanonicalJSON.maxNumber))
        previous = try fields.digest("prev")
        candidatesRoot = try fields.digest("candidates_root")
    }
}
