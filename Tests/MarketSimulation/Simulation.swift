import Keys
import Ratel
import Receipts

/// A market of providers and callers in simulated time, in which a router decides as the real one
/// does: everything that chooses is the product's own code.
public struct Simulation {
    /// Microseconds since 1970, at the beginning of an hour.
    static let start: Int64 = 500_000 * 3_600_000_000
    /// Microseconds between requests, in the mean, with 50 providers: 200,000 within the hour that
    /// offers are good for. A fifth of all streams is in use then, and all of the cheapest ones.
    private let pace: Int64

    /// How large it is, and what it is seeded with.
    public struct Plan: Sendable {
        public var seed: UInt64
        public var providers: Int
        public var requests: Int
        /// Receipts that are really signed and audited.
        public var sample: Int
        /// Whether nothing is known of any provider at first, so that a part of the run goes by
        /// until the market is what it will be.
        public var isCold: Bool

        public init(seed: UInt64, providers: Int, requests: Int, sample: Int, isCold: Bool) {
            self.seed = seed
            self.isCold = isCold
            self.providers = providers
            self.requests = requests
            self.sample = sample
        }
    }

    private enum Event {
        /// An answer that came whole, was given up, or broke off.
        case ended(provider: Int, CircuitBreaker.Ticket, Outcome)
        /// A minute has passed since these tokens were taken.
        case minute(provider: Int, tokens: Int64)
        case joins(provider: Int)
    }

    private enum Outcome {
        case served(Reputation.Answer)
        case gaveUp(Reputation.Answer)
        case failed
    }

    let plan: Plan
    let providers: [SimulatedProvider]
    private var records: [ProviderRecord]
    private let router: SimulatedRouter
    private let index: [[UInt8]: Int]
    private var events = EventQueue<Event>()
    private var random: SplitMix64
    private var now = Simulation.start
    private var completions = 0
    private var served: [Int64]
    /// A provider that is admitted when a quarter of the requests have been.
    let newcomer: Int
    /// Requests that a provider serves before it turns: it is well known by then.
    private let turnsAfter: Int64
    private(set) var tally: Tally
    private(set) var ledger: SampledLedger

    init(_ plan: Plan, router habit: SimulatedRouter.Habit = .honest) throws {
        self.plan = plan
        random = SplitMix64(seed: plan.seed)
        pace = 16_000 * 50 / Int64(plan.providers)
        turnsAfter = Int64(max(150, plan.requests / 200))
        // Sorted as decisions have them.
        let providers = try SimulatedProvider.market(plan.providers, &random).sorted {
            $0.signed.digest.lexicographicallyPrecedes($1.signed.digest)
        }
        self.providers = providers
        records = providers.map(\.record)
        index = Dictionary(
            uniqueKeysWithValues: providers.enumerated().map { ($1.signed.digest, $0) })
        served = providers.map { _ in 0 }
        // Of the sound ones by price: the cheapest is what the market should find.
        let sound = providers.indices.filter {
            providers[$0].turn == .honest && providers[$0].isSound
        }
        let byPrice = sound.sorted {
            providers[$0].offer.price.input < providers[$1].offer.price.input
        }
        precondition(byPrice.count > 2, "a larger market: few of it are sound")
        newcomer = byPrice[0]
        let seed = random.bytes(32)
        router = SimulatedRouter(
            habit: habit, own: providers[byPrice[byPrice.count / 2]].signed.digest,
            rival: providers[byPrice[1]].signed.digest, key: random.bytes(32), seed: seed)
        ledger = try SampledLedger(seed: seed)
        tally = Tally(count: plan.providers, requests: plan.requests)
        records[newcomer].attestation = nil
        if !plan.isCold { meet() }
    }

    // As after an hour of requests.
    private mutating func meet() {
        for index in records.indices where index != newcomer {
            for _ in 0..<2 * Weighing.minFacts {
                let usage = Usage(input: 2_000, cached: 0, output: 260, reasoning: 0)
                records[index].reputation.served(
                    Reputation.Answer(
                        first: providers[index].first, gap: providers[index].gap, usage: usage,
                        requestBytes: usage.input * 4, contentBytes: usage.output * 4,
                        counts: .possible))
            }
        }
    }

    var own: SimulatedProvider { providers[index[router.own] ?? 0] }
    var rival: SimulatedProvider { providers[index[router.rival] ?? 0] }
    /// First choices by score that one had, in a thousand.
    func share(of provider: SimulatedProvider) -> Int {
        let all = tally.lines.reduce(0) { $0 + $1.chosen }
        return tally.lines[index[provider.signed.digest] ?? 0].chosen * 1_000 / max(1, all)
    }

    /// Seconds that the run took in its own time.
    var seconds: Int64 { (now - Simulation.start) / 1_000_000 }

    /// Runs all requests.
    mutating func run() throws {
        let joins = Simulation.start + Int64(plan.requests / 4) * pace
        events.add(.joins(provider: newcomer), at: joins)
        let every = max(1, plan.requests / max(1, plan.sample))
        for number in 0..<plan.requests {
            now += random.number(0...2 * pace)
            while let (time, event) = events.next(until: now) { happen(event, at: time) }
            let request = SimulatedRequest(number, &random)
            try route(request, isSampled: number % every == 0)
        }
    }

    // MARK: One request

    private mutating func route(_ request: SimulatedRequest, isSampled: Bool) throws {
        let honest = router.pick.decide(request.terms, among: records, now: now / 1_000)
        let decision = router.decision(from: honest)
        note(request, decision)
        var attempts = router.attempts(decision, request)
        var asked: [Receipt.Attempt] = []
        while let offer = attempts.next() {
            let provider = index[offer] ?? 0
            let ticket = records[provider].breaker.begin(now: now / 1_000)
            if hasTurned(provider) { tally.turned(provider) }
            tally.asked(provider, offer, request, decision, isFirst: asked.isEmpty)
            if failsAtOnce(provider) {
                asked.append(.init(offer: offer, outcome: .failed))
                end(provider, ticket, .failed, at: now)
                continue
            }
            asked.append(.init(offer: offer, outcome: .served))
            let (facts, usage, breaks) = serve(request, provider, ticket)
            if !breaks { tally.paid(provider, providers[provider].offer.price.cost(of: usage)) }
            if isSampled {
                try ledger.add(
                    request, decision, asked, facts, providers[provider], usage, breaks: breaks)
            }
            return
        }
        tally.unserved += 1
    }

    // What anybody could have had at this moment.
    private mutating func note(_ request: SimulatedRequest, _ decision: Decision) {
        var admissible: [Tally.Choice] = []
        for candidate in decision.candidates where candidate.measures != nil {
            guard let provider = index[candidate.offer] else { continue }
            let truth = providers[provider]
            admissible.append(
                Tally.Choice(
                    provider: provider, cost: truth.offer.price.cost(of: request.usage),
                    burden: truth.burden(
                        openStreams: records[provider].openStreams, turned: hasTurned(provider)),
                    isBargain: !hasTurned(provider) || truth.turn == .shaves))
        }
        tally.considered(request, decision, admissible)
    }

    private func hasTurned(_ provider: Int) -> Bool {
        providers[provider].turn != .honest && served[provider] >= turnsAfter
    }

    private mutating func failsAtOnce(_ provider: Int) -> Bool {
        if providers[provider].turn == .dies, hasTurned(provider) { return true }
        // Half of the failures come before the first byte.
        return random.chance(providers[provider].failures / 2)
    }

    /// The signed times of an answer, its counts, and whether it broke off.
    private mutating func serve(
        _ request: SimulatedRequest, _ provider: Int, _ ticket: CircuitBreaker.Ticket
    ) -> (SignedTimes, Usage, Bool) {
        let truth = providers[provider]
        let turned = hasTurned(provider)
        let speed = truth.speed(openStreams: records[provider].openStreams, turned: turned)
        let first = speed.first * random.number(500...1_500) / 1_000
        let gap = speed.gap * random.number(700...1_300) / 1_000
        let duration = first + gap * request.usage.output
        let usage = truth.counts(request.usage, turned: turned)
        let answer = measure(request, first: first, gap: gap, usage)
        let breaks = random.chance(truth.failures / 2)
        let outcome =
            breaks ? Outcome.failed : request.gaveUp ? .gaveUp(answer) : .served(answer)
        let tokens = usage.input + usage.output
        records[provider].openStreams += 1
        records[provider].tokensInUse += tokens
        events.add(.ended(provider: provider, ticket, outcome), at: now + duration)
        events.add(.minute(provider: provider, tokens: tokens), at: now + 60_000_000)
        // What it signs is what it likes.
        let isLying = turned && truth.turn == .slow
        let times = SignedTimes(started: now, first: isLying ? 300_000 : first, duration: duration)
        return (times, usage, breaks)
    }

    private func measure(
        _ request: SimulatedRequest, first: Int64, gap: Int64, _ usage: Usage
    ) -> Reputation.Answer {
        let check = CountCheck(
            requestBytes: request.requestBytes, maxOutput: request.terms.maxOutput,
            chunks: request.usage.output, contentBytes: request.contentBytes)
        return Reputation.Answer(
            first: first, gap: gap, usage: usage, requestBytes: request.requestBytes,
            contentBytes: request.contentBytes, counts: check.verdict(on: usage))
    }

    // MARK: What happens later

    private mutating func happen(_ event: Event, at time: Int64) {
        switch event {
        case .ended(let provider, let ticket, let outcome):
            records[provider].openStreams -= 1
            end(provider, ticket, outcome, at: time)
        case .minute(let provider, let tokens): records[provider].tokensInUse -= tokens
        case .joins(let provider):
            records[provider].attestation = providers[provider].record.attestation
        }
    }

    private mutating func end(
        _ provider: Int, _ ticket: CircuitBreaker.Ticket, _ outcome: Outcome, at time: Int64
    ) {
        let result: CircuitBreaker.Outcome
        switch outcome {
        case .served(let answer):
            served[provider] += 1
            records[provider].reputation.served(answer)
            result = .served
        case .gaveUp(let answer):
            records[provider].reputation.gaveUp(answer)
            result = .callers
        case .failed:
            records[provider].reputation.failed()
            result = .failed
        }
        records[provider].breaker.end(ticket, result, now: time / 1_000)
        completions += 1
        // As a router does now and then.
        guard completions % 64 == 0 else { return }
        let inflation = CountConsensus.inflation(of: records.map(\.reputation))
        for (index, value) in inflation.enumerated() { records[index].inflation = value }
    }
}
