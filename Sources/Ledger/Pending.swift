internal import Keys
public import RATS
public import Receipts

extension Ledger {
    /// A request that was begun and is not over: all that is needed to bill it after a crash from
    /// the provider's signed facts alone.
    public struct Pending: Sendable, Equatable {
        /// The receipt's.
        public var id: String
        public var account: String
        /// The most that it can cost, in nano-dollars: what the account cannot spend meanwhile.
        /// Of all providers that may serve it, the dearest.
        public var reserve: Int64
        /// Milliseconds since 1970.
        public var started: Int64
        public var decision: Decision
        /// The providers that were asked before and did not serve, in order.
        public var attempts: [Receipt.Attempt]
        /// The offer of the provider that is asked now, kept by `Ledger.keep`, and its price; nil
        /// before any is.
        public var offer: [UInt8]?
        public var price: Price?
        /// SHA-256 over the router's policy of providers.
        public var policy: [UInt8]
        public var seedCommitment: [UInt8]

        public init(
            id: String, account: String, reserve: Int64, started: Int64, decision: Decision,
            attempts: [Receipt.Attempt] = [], offer: [UInt8]? = nil, price: Price? = nil,
            policy: [UInt8], seedCommitment: [UInt8]
        ) {
            self.id = id
            self.account = account
            self.reserve = reserve
            self.started = started
            self.decision = decision
            self.attempts = attempts
            self.offer = offer
            self.price = price
            self.policy = policy
            self.seedCommitment = seedCommitment
        }
    }

    /// What came of beginning a request.
    public enum Admission: Sendable, Equatable {
        /// Its reservation is on the disk.
        case admitted
        /// The account's balance or budget does not cover it: `available` nano-dollars are left.
        case refused(available: Int64)
        /// The account was given no terms.
        case unknown
        /// It has a receipt already.
        case over
    }
}

extension Ledger.Pending {
    /// What is written where nobody served: nothing is billed.
    public func failed(at time: Int64) -> Ledger.Entry {
        let last = offer.map { [Receipt.Attempt(offer: $0, outcome: .failed)] } ?? []
        return entry(
            service: nil, usage: .none, cost: 0, attempts: attempts + last, end: .error, time)
    }

    /// What is written where the provider that was asked last signed `service`, under its offer.
    ///
    /// Errors: `receipt.malformed` and `offer.key` of the two; `ledger.service` where they are of
    /// another request or offer than this; `ledger.reserve` where they cost more than it can.
    public func served(
        _ service: SignedStatement, under statement: SignedStatement, at time: Int64
    ) throws(Refusal) -> Ledger.Entry {
        let (facts, terms) = (try ServiceFacts(service), try Offer(statement))
        guard let offer, let price, facts.receipt == id, facts.offer == offer,
            statement.digest == offer, statement.key == service.key, price == terms.price
        else {
            throw Refusal(
                "ledger.service", .evidence, field: "service of \(id)",
                expected: "facts by the provider of offer \(offer.map(Hex.encode) ?? "none")",
                got: "facts of \(facts.receipt) under \(Hex.encode(facts.offer))",
                remedy: "ask the provider for the facts of this request")
        }
        let cost = Billing.cost(of: facts, price: price, cancelPolicy: terms.cancelPolicy)
        // Who counts more than the request can take would spend what the account does not have.
        guard cost <= reserve else {
            throw Refusal(
                "ledger.reserve", .evidence, field: "usage of \(id)",
                expected: "at most \(reserve) nano-dollars, which the request can cost",
                got: "\(cost) for \(facts.usage.input) and \(facts.usage.output) tokens",
                remedy: "do not pay it: no honest engine counts so")
        }
        return entry(
            service: service, usage: facts.usage, cost: cost,
            attempts: attempts + [.init(offer: offer, outcome: .served)], end: facts.end, time)
    }

    private func entry(
        service: SignedStatement?, usage: Usage, cost: Int64, attempts: [Receipt.Attempt],
        end: ServiceEnd, _ time: Int64
    ) -> Ledger.Entry {
        Ledger.Entry(
            receipt: Receipt(
                id: id, account: account, service: service, offer: service.flatMap { _ in offer },
                price: service.flatMap { _ in price }, usage: usage, cost: cost,
                attempts: attempts, policy: policy, seedCommitment: seedCommitment, end: end,
                time: time),
            decision: decision)
    }
}
