import Bytes
import Keys
import Ledger
import Loop
import RATS
import Receipts

/// Requests that begin, move on to another provider, end, break off, and are sent twice.
final class Traffic: Sendable {
    /// A generator that a seed starts: SplitMix64.
    private struct Chance {
        var state: UInt64

        mutating func below(_ limit: UInt64) -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var value = state
            value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
            value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
            return (value ^ (value >> 31)) % limit
        }
    }

    /// Requests at once: some commits have one, others many.
    private static let width = 16
    private static let accounts = ["prepaid", "budget", "free"]
    /// What the largest request can cost: 3,000 tokens at the dearest price.
    private static let reserve: Int64 = 1_800_000

    private let desk: LedgerDesk
    private let provider: Provider
    private let chance: Locked<Chance>
    private let seed: UInt64

    init(_ desk: LedgerDesk, _ provider: Provider, seed: UInt64) {
        self.desk = desk
        self.provider = provider
        self.seed = seed
        chance = Locked(Chance(state: seed))
    }

    /// A run credits what one request may cost, so that most are refused.
    static func setAccounts(_ ledger: Ledger, reference: String) throws(LedgerError) {
        try ledger.set(account: accounts[0], terms: .prepaid)
        try ledger.credit(account: accounts[0], amount: 2_000_000, reference: reference)
        try ledger.set(
            account: accounts[1], terms: .postpaid(budget: 2_000_000_000, period: .day))
        try ledger.set(account: accounts[2], terms: .postpaid(budget: nil, period: .month))
    }

    func start() {
        for _ in 0..<Traffic.width { next() }
    }

    private func next() {
        let (number, account) = chance.withLock { ($0.below(.max), $0.below(3)) }
        let id = "r-\(seed)-\(number)"
        desk.run({ ledger throws(LedgerError) in try ledger.seed(at: System.now * 1_000) }) {
            guard case .success(let seed) = $0 else { return self.later() }
            self.begin(self.request(id, Traffic.accounts[Int(account)], seed), seed, attempt: 0)
        }
    }

    // Where something failed: not at once again.
    private func later() {
        System.sleep(milliseconds: 5)
        next()
    }

    private func request(_ id: String, _ account: String, _ seed: [UInt8]) -> Ledger.Pending {
        let expected = Usage(input: 1_000, cached: 0, output: 500, reasoning: 0)
        let candidates = zip(provider.offers, Provider.prices).map { offer, price in
            let measures = Decision.Measures(
                cost: price.cost(of: expected), first: 1_000, gap: 1_000,
                success: Decision.Measures.unit, inflation: Decision.Measures.unit,
                disagreement: 0, facts: 100, position: 0)
            return Decision.Candidate(
                offer: offer.digest, weight: 0, reason: "", measures: measures)
        }
        return Ledger.Pending(
            id: id, account: account, reserve: Traffic.reserve, started: System.now * 1_000,
            decision: Decision(
                .init(order: .score, expected: expected, first: 0, gap: 0), weighing: candidates),
            policy: Digest.sha256([6]), seedCommitment: Decision.commitment(to: seed))
    }

    private func begin(_ request: Ledger.Pending, _ seed: [UInt8], attempt: Int) {
        var (request, left) = (request, request.decision)
        for tried in request.attempts { left = left.without(tried.offer) }
        let draw = Decision.draw(for: request.id, attempt: attempt, seed: seed)
        guard let offer = left.choice(draw)?.offer,
            let index = provider.offers.firstIndex(where: { $0.digest == offer })
        else { return end(request.failed(at: System.now * 1_000)) }
        let unasked = request
        request.offer = offer
        request.price = Provider.prices[index]
        desk.begin(request) { [request] result in
            if case .success(.admitted) = result {
                self.serve(request, seed, attempt, self.provider.offers[index])
            } else if attempt > 0 {
                self.end(unasked.failed(at: System.now * 1_000))
            } else {
                self.later()
            }
        }
    }

    private func serve(
        _ request: Ledger.Pending, _ seed: [UInt8], _ attempt: Int, _ offer: SignedStatement
    ) {
        let (fate, input, output) = chance.withLock {
            ($0.below(10), Int64($0.below(2_000)), Int64($0.below(1_000)))
        }
        if fate == 0 {
            var request = request
            request.attempts.append(.init(offer: offer.digest, outcome: .saturated))
            request.offer = nil
            request.price = nil
            return begin(request, seed, attempt: attempt + 1)
        }
        let usage = Usage(input: input, cached: input / 2, output: output, reasoning: 0)
        let ends: [ServiceEnd] = [.cancelled, .error]
        let end = fate < 3 ? ends[Int(fate) - 1] : .complete
        do {
            let service = try provider.serve(
                request.id, offer: offer.digest, usage: usage, end: end)
            self.end(
                try request.served(service, under: offer, at: System.now * 1_000),
                twice: fate == 9)
        } catch {
            System.writeError("\(error)")
            System.exit(1)
        }
    }

    private func end(_ entry: Ledger.Entry, twice: Bool = false) {
        if twice { desk.finish(entry) { _ in } }
        desk.finish(entry) { result in
            guard case .success(let statement) = result else { return self.later() }
            let sequence = statement.body["seq"]?.integer ?? 0
            let cost = statement.body["cost_nusd"]?.integer ?? 0
            System.writeOutput(
                "\(entry.receipt.id) \(sequence) \(Hex.encode(statement.digest)) \(cost)\n")
            self.next()
        }
    }
}
