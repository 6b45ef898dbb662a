import Keys
import RATS

@testable import Receipts

extension Decision.Measures {
    /// Those of a provider that nothing is to be said of.
    static func usual(cost: Int64) -> Decision.Measures {
        Decision.Measures(
            cost: cost, first: 500_000, gap: 20_000, success: unit, inflation: unit,
            disagreement: 0, facts: 100, position: 0)
    }
}

/// A router with two providers, and everything that they sign.
struct Market {
    let router = try! PrivateKey.generate()
    let providers = [try! PrivateKey.generate(), try! PrivateKey.generate()]
    let seed = Digest.sha256([42])
    let offers: [SignedStatement]
    private(set) var receipts: [SignedStatement] = []
    private(set) var decisions: [String: Decision] = [:]
    private var services: [Int: SignedStatement] = [:]

    init() throws {
        var offers: [SignedStatement] = []
        for (index, key) in providers.enumerated() {
            offers.append(try SignedStatement(.offer, Market.offer(index, key).json, signedBy: key))
        }
        self.offers = offers
    }

    static func offer(_ index: Int, _ key: PrivateKey) -> Offer {
        Offer(
            id: "offer-\(index)", sequence: 1, keyset: Digest.sha256(key.spki),
            measurement: Digest.sha256([3]),
            model: Offer.Model(id: "m", weights: Digest.sha256([4]), quantization: "fp8"),
            price: Price(input: 100_000_000, cached: 10_000_000, output: 400_000_000),
            billing: .postpaid, settlement: "invoice", cancelPolicy: index == 0 ? .counted : .free,
            tokensPerMinute: 1_000_000, streams: 100, region: "eu", retention: "none",
            notBefore: 1_000, notAfter: 2_000)
    }

    static let request = Decision.Request(
        order: .score, expected: Usage(input: 600, cached: 100, output: 50, reasoning: 0),
        first: 2_000_000, gap: 40_000)

    /// Both offers, which are as good as each other, weighed.
    func considered() throws -> Decision {
        var candidates: [Decision.Candidate] = []
        for offer in offers {
            let cost = try Offer(offer).price.cost(of: Market.request.expected)
            candidates.append(
                Decision.Candidate(
                    offer: offer.digest, weight: 0, reason: "", measures: .usual(cost: cost)))
        }
        return Decision(Market.request, weighing: candidates)
    }

    /// Serves one request as the draw has it; the closures change what is signed, and `signer`
    /// signs the facts in the place of the provider that was drawn.
    mutating func serve(
        _ id: String, end: ServiceEnd = .complete, signer: PrivateKey? = nil,
        facts change: (inout ServiceFacts) -> Void = { _ in },
        receipt alter: (inout Receipt) -> Void = { _ in },
        decision weigh: (inout Decision) -> Void = { _ in }
    ) throws {
        var decision = try considered()
        weigh(&decision)
        let drawn = decision.choice(Decision.draw(for: id, attempt: 0, seed: seed))!
        let index = offers.firstIndex { $0.digest == drawn.offer }!
        let last = services[index]
        var facts = ServiceFacts(
            receipt: id, router: Digest.sha256(router.spki),
            sequence: (try last.map { try ServiceFacts($0).sequence } ?? 0) + 1,
            previous: last?.digest ?? Array(repeating: 0, count: 32), offer: drawn.offer,
            model: "m", weights: Digest.sha256([4]), request: Digest.sha256([5]),
            response: Digest.sha256([6]), chainHead: Digest.sha256([7]), events: 10,
            usage: Usage(input: 600, cached: 100, output: 40, reasoning: 3), end: end,
            started: 1_500_000, first: 1_500_100, ended: 1_501_000)
        change(&facts)
        let service = try SignedStatement(
            .service, facts.json, signedBy: signer ?? providers[index])
        services[index] = service
        let offer = try Offer(offers[index])
        var receipt = Receipt(
            id: id, account: "a", service: service, offer: drawn.offer, price: offer.price,
            usage: facts.usage,
            cost: Billing.cost(of: facts, price: offer.price, cancelPolicy: offer.cancelPolicy),
            attempts: [.init(offer: drawn.offer, outcome: .served)], policy: Digest.sha256([8]),
            seedCommitment: Decision.commitment(to: seed), end: end, time: 1_501_001)
        receipt.sequence = Int64(receipts.count) + 1
        receipt.previous = receipts.last?.digest ?? Array(repeating: 0, count: 32)
        receipt.candidatesRoot = try decision.root()
        alter(&receipt)
        decisions[id] = decision
        receipts.append(try SignedStatement(.receipt, receipt.json, signedBy: router))
    }

    /// The codes of what an auditor finds, and what the account owes.
    func audit(
        without missing: Int? = nil, offers: [SignedStatement]? = nil, seeds: [[UInt8]]? = nil,
        decisions: [String: Decision]? = nil, key: [UInt8]? = nil
    ) throws -> (codes: [String], bill: ReceiptAudit.Bill?) {
        var audit = try ReceiptAudit(
            routerKey: key ?? router.spki, offers: offers ?? self.offers,
            decisions: decisions ?? self.decisions, seeds: seeds ?? [seed])
        for (index, statement) in receipts.enumerated() where index != missing {
            audit.add(statement)
        }
        audit.finish()
        return (audit.findings.map(\.refusal.code).sorted(), audit.bills["a"])
    }
}
