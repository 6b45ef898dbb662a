internal import Keys
public import RATS

/// Recomputes what a router billed, from what was signed alone: no router and no provider is asked.
///
/// Every receipt is held against the offer it names, the provider's facts inside it, the
/// candidates it committed to and the seed of its draw; and all of them against each other, so that
/// one that is missing or stands twice shows.
public struct ReceiptAudit {
    /// One thing that does not add up.
    public struct Finding: Sendable, Equatable {
        /// The receipt that it is about; nil for what is about all of them.
        public var receipt: String?
        public var refusal: Refusal

        public init(receipt: String?, refusal: Refusal) {
            self.receipt = receipt
            self.refusal = refusal
        }
    }

    /// What one account owes, in nano-dollars.
    public struct Bill: Sendable, Equatable {
        public var requests = 0
        public var cost: Int64 = 0

        public init(requests: Int = 0, cost: Int64 = 0) {
            self.requests = requests
            self.cost = cost
        }
    }

    private let routerKey: [UInt8]
    let offers: [[UInt8]: (offer: Offer, statement: SignedStatement)]
    private let decisions: [String: Decision]
    private let seeds: [[UInt8]: [UInt8]]

    public private(set) var bills: [String: Bill] = [:]
    public private(set) var findings: [Finding] = []
    /// The places of the first and the last receipt.
    public private(set) var places: ClosedRange<Int64>?
    private var seen: Set<String> = []
    private var last: (sequence: Int64, digest: [UInt8])?
    /// The providers' facts, over this account and those before it.
    public private(set) var chains: ServiceChains

    /// `routerKey` is the SubjectPublicKeyInfo that the router's Evidence vouches for; `seeds` are
    /// those that were shown once their hour was over; `chains` what was seen of the providers'
    /// facts before.
    public init(
        routerKey: [UInt8], offers: [SignedStatement], decisions: [String: Decision],
        seeds: [[UInt8]], chains: ServiceChains = ServiceChains()
    ) throws(Refusal) {
        self.routerKey = routerKey
        self.chains = chains
        self.decisions = decisions
        var known: [[UInt8]: (Offer, SignedStatement)] = [:]
        for statement in offers { known[statement.digest] = (try Offer(statement), statement) }
        self.offers = known
        self.seeds = Dictionary(
            seeds.map { (Decision.commitment(to: $0), $0) }, uniquingKeysWith: { first, _ in first }
        )
    }

    /// One receipt, with the facts inside it, which every check looks at.
    private struct Subject {
        let receipt: Receipt
        let statement: SignedStatement
        /// Who signed the facts, and what they are; nil where none served.
        let service: (signed: SignedStatement, facts: Result<ServiceFacts, Refusal>)?

        init(_ receipt: Receipt, _ statement: SignedStatement) {
            self.receipt = receipt
            self.statement = statement
            service = receipt.service.map { signed in
                (signed, Result { () throws(Refusal) in try ServiceFacts(signed) })
            }
        }
    }

    /// Looks at the next receipt, in the order of their sequence.
    public mutating func add(_ statement: SignedStatement) {
        let receipt: Receipt
        do throws(Refusal) {
            receipt = try Receipt(statement)
        } catch {
            return findings.append(Finding(receipt: nil, refusal: error))
        }
        let subject = Subject(receipt, statement)
        follow(receipt, statement)
        noteService(subject)
        for check in [checkKey, checkService, checkOffer, checkCost, checkDecision] {
            do throws(Refusal) {
                try check(subject)
            } catch {
                findings.append(Finding(receipt: receipt.id, refusal: error))
            }
        }
        bills[receipt.account, default: Bill()].requests += 1
        bills[receipt.account, default: Bill()].cost += receipt.cost
    }

    /// Looks for facts that are missing, once every receipt was added, of this account and those
    /// after it.
    public mutating func finish() {
        for gap in chains.gaps { findings.append(Finding(receipt: nil, refusal: gap)) }
    }

    // MARK: Order

    private mutating func follow(_ receipt: Receipt, _ statement: SignedStatement) {
        if !seen.insert(receipt.id).inserted {
            find(
                receipt.id, "audit.receipt.twice", "receipt_id", "each once", receipt.id,
                "one request is billed once")
        }
        let expected = (last?.sequence ?? 0) + 1
        if receipt.sequence != expected, last != nil || receipt.sequence < 1 {
            find(
                receipt.id, "audit.receipt.gap", "seq", "\(expected)", "\(receipt.sequence)",
                "ask the router for the receipts between")
        } else if let last, receipt.previous != last.digest {
            find(
                receipt.id, "audit.receipt.chain", "prev", Hex.encode(last.digest),
                Hex.encode(receipt.previous), "the receipt before was replaced")
        }
        last = (receipt.sequence, statement.digest)
        let lower = min(places?.lowerBound ?? receipt.sequence, receipt.sequence)
        places = lower...max(places?.upperBound ?? lower, receipt.sequence)
    }

    private mutating func noteService(_ subject: Subject) {
        guard let (signed, found) = subject.service, case .success(let facts) = found else {
            return
        }
        for refusal in chains.add(facts, signed) {
            findings.append(Finding(receipt: subject.receipt.id, refusal: refusal))
        }
    }

    // MARK: One receipt

    private func checkKey(_ subject: Subject) throws(Refusal) {
        guard subject.statement.key == routerKey else {
            throw refusal(
                "audit.router.key", "key", Hex.encode(Digest.sha256(routerKey)),
                Hex.encode(Digest.sha256(subject.statement.key)), "it is another router's")
        }
    }

    private func checkService(_ subject: Subject) throws(Refusal) {
        let receipt = subject.receipt
        guard let (_, found) = subject.service else { return try checkUnserved(receipt) }
        let facts = try found.get()
        guard facts.end == receipt.end else {
            throw refusal(
                "audit.service.end", "end", facts.end.rawValue, receipt.end.rawValue,
                "it ended as its provider signed")
        }
        guard facts.receipt == receipt.id else {
            throw refusal(
                "audit.service.receipt", "service.receipt_id", receipt.id, facts.receipt,
                "the facts are of another request")
        }
        let router = Digest.sha256(subject.statement.key)
        guard facts.router == router else {
            throw refusal(
                "audit.service.router", "service.router", Hex.encode(router),
                Hex.encode(facts.router), "the facts are of another router's request")
        }
        guard facts.offer == receipt.offer, receipt.attempts.last?.outcome == .served,
            receipt.attempts.last?.offer == facts.offer
        else {
            throw refusal(
                "audit.service.offer", "service.offer_hash",
                Hex.encode(receipt.attempts.last?.offer ?? []), Hex.encode(facts.offer),
                "it was served under another offer than the one that is billed")
        }
    }

    private func checkUnserved(_ receipt: Receipt) throws(Refusal) {
        guard receipt.end == .error, receipt.attempts.allSatisfy({ $0.outcome != .served }) else {
            throw refusal(
                "audit.service.end", "end", "error, and no attempt that served",
                receipt.end.rawValue, "nobody signed that it was served")
        }
    }

    private func checkOffer(_ subject: Subject) throws(Refusal) {
        guard let (signed, found) = subject.service else { return }
        let (receipt, facts) = (subject.receipt, try found.get())
        guard let (offer, offered) = offers[facts.offer] else {
            throw refusal(
                "audit.offer.missing", "offer_hash", "an offer of the export",
                Hex.encode(facts.offer), "ask the router for the offer")
        }
        guard offered.key == signed.key else {
            throw refusal(
                "audit.offer.key", "service.key", Hex.encode(offer.keyset),
                Hex.encode(Digest.sha256(signed.key)), "the facts are another provider's")
        }
        guard receipt.price == offer.price else {
            throw refusal(
                "audit.offer.price", "price_nusd_per_mtok", offer.price.json.serialised(),
                receipt.price?.json.serialised() ?? "none", "the price is not the one offered")
        }
        guard offer.model.id == facts.model, offer.model.weights == facts.weights else {
            throw refusal(
                "audit.offer.model", "service.model", offer.model.id, facts.model,
                "another model, or other weights, than offered")
        }
        guard (offer.notBefore...offer.notAfter).contains(facts.started / 1_000) else {
            throw refusal(
                "audit.offer.expired", "service.started_ms",
                "\(offer.notBefore) to \(offer.notAfter) s", "\(facts.started) ms",
                "the offer was not in force")
        }
    }

    private func checkCost(_ subject: Subject) throws(Refusal) {
        let receipt = subject.receipt
        let (usage, cost) = try owed(subject)
        guard receipt.usage == usage, receipt.cost == cost else {
            throw refusal(
                "audit.cost", "cost_nusd", "\(cost) for \(usage.json.serialised())",
                "\(receipt.cost) for \(receipt.usage.json.serialised())",
                "pay what was served at the price that was offered")
        }
    }

    /// What a receipt should bill.
    private func owed(_ subject: Subject) throws(Refusal) -> (Usage, Int64) {
        guard let (_, found) = subject.service, let price = subject.receipt.price else {
            return (.none, 0)
        }
        let facts = try found.get()
        let policy = offers[facts.offer]?.offer.cancelPolicy ?? .counted
        let cost = Billing.cost(of: facts, price: price, cancelPolicy: policy)
        return (facts.usage, cost)
    }

    private func checkDecision(_ subject: Subject) throws(Refusal) {
        let receipt = subject.receipt
        guard let decision = decisions[receipt.id] else {
            throw refusal(
                "audit.decision.missing", "candidates_root", "its candidates in the export", "none",
                "ask the router for them")
        }
        guard (try? decision.root()) == receipt.candidatesRoot else {
            throw refusal(
                "audit.decision.root", "candidates_root", Hex.encode(receipt.candidatesRoot),
                (try? decision.root()).map { Hex.encode($0) } ?? "none",
                "the candidates are not those that were committed to")
        }
        guard let seed = seeds[receipt.seedCommitment] else {
            throw refusal(
                "audit.seed.missing", "seed_commitment", "a seed of the export",
                Hex.encode(receipt.seedCommitment), "wait until the hour is over, then ask for it")
        }
        try checkWeights(decision)
        try checkCosts(decision)
        try checkDraws(receipt, decision, seed)
    }

    // MARK: Words

    private mutating func find(
        _ receipt: String?, _ code: String, _ field: String, _ expected: String, _ got: String,
        _ remedy: String
    ) {
        findings.append(
            Finding(
                receipt: receipt, refusal: refusal(code, field, expected, got, remedy)))
    }

    func refusal(
        _ code: String, _ field: String, _ expected: String, _ got: String, _ remedy: String
    ) -> Refusal {
        Refusal(code, .evidence, field: field, expected: expected, got: got, remedy: remedy)
    }
}

/// What is owed for what was served.
public enum Billing {
    /// Nano-dollars: nothing for an answer that broke off, and for one that was given up what the
    /// offer says.
    public static func cost(
        of facts: ServiceFacts, price: Price, cancelPolicy: Offer.CancelPolicy
    ) -> Int64 {
        switch facts.end {
        case .complete: price.cost(of: facts.usage)
        case .cancelled: cancelPolicy == .counted ? price.cost(of: facts.usage) : 0
        case .error: 0
        }
    }
}
