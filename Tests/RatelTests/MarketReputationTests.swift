import Receipts
import Testing

@testable import Ratel

/// What is remembered of providers, and what counts can be.
struct MarketReputationTests {
    typealias Fixture = MarketFixture

    @Test func aMeanHalvesWithinItsHalfLife() {
        var mean = RunningMean()
        for value: Int64 in [10, 20, 30] { mean.add(value) }
        // A 65,536th short for what divisions drop.
        #expect((19...20).contains(mean.value))
        mean = RunningMean()
        for _ in 0..<1_000 { mean.add(1_000_000) }
        #expect((999_990...1_000_000).contains(mean.value))
        for _ in 0..<RunningMean.halfLife { mean.add(0) }
        #expect((495_000...505_000).contains(mean.value))
        for _ in 0..<1_000 { mean.add(.max) }
        #expect(mean.value <= RunningMean.max && mean.value > RunningMean.max * 99 / 100)
        mean.add(-5)
        #expect(mean.value > 0)
    }

    @Test func onlyAProvidersOwnDoingCounts() {
        var reputation = Reputation()
        #expect(reputation.reliability == Decision.Measures.unit)
        for _ in 0..<50 { reputation.served(Fixture.answer()) }
        reputation.gaveUp(Fixture.answer(first: 9_000_000))
        #expect(reputation.facts == 50 && reputation.reliability == Decision.Measures.unit)
        #expect(reputation.first.value > 500_000)
        for _ in 0..<50 { reputation.failed() }
        #expect((28_000...38_000).contains(reputation.reliability))
        let before = reputation.reliability
        reputation.lapsed()
        #expect(reputation.reliability < before)
    }

    @Test func countsAreHeldAgainstWhatWentThrough() {
        func verdict(
            _ usage: (Int64, Int64, Int64), max limit: Int64? = nil, chunks: Int64 = 10,
            bytes: Int64 = 400, request: Int64 = 4_000, calls: Int64 = 0, references: Bool = false
        ) -> CountCheck.Rule? {
            let check = CountCheck(
                requestBytes: request, hasReferences: references, maxOutput: limit, chunks: chunks,
                contentBytes: bytes, toolCalls: calls)
            let counts = Usage(input: usage.0, cached: 0, output: usage.1, reasoning: usage.2)
            guard case .impossible(let rule, let limit, let got) = check.verdict(on: counts) else {
                return nil
            }
            #expect(rule == .parts || rule == .chunks ? true : got > limit)
            return rule
        }
        #expect(verdict((1_000, 100, 0)) == nil)
        #expect(verdict((1_000, 100, 0), max: 100) == nil)
        #expect(verdict((1_000, 101, 0), max: 100) == .maxTokens)
        #expect(verdict((1_000, 100, 101)) == .parts)
        #expect(verdict((1_000, 408, 0)) == nil)
        #expect(verdict((1_000, 409, 0)) == .bytes)
        #expect(verdict((1_000, 472, 0), calls: 1) == nil)
        // Reasoning that is not shown has no bytes.
        #expect(verdict((1_000, 5_000, 4_900)) == nil)
        #expect(verdict((1_000, 9, 0)) == .chunks)
        #expect(verdict((4_256, 100, 0)) == nil)
        #expect(verdict((4_257, 100, 0)) == .request)
        #expect(verdict((9_000, 100, 0), references: true) == nil)
    }

    @Test func whoCountsMoreThanTheOthersStandsOut() {
        func reputation(_ times: Double, facts: Int = 40) -> Reputation {
            var reputation = Reputation()
            let usage = Usage(
                input: 1_000, cached: 0, output: Int64(100 * times), reasoning: 0)
            for _ in 0..<facts { reputation.served(Fixture.answer(usage: usage)) }
            return reputation
        }
        let found = CountConsensus.inflation(
            of: [reputation(1), reputation(1.3), reputation(1), reputation(2, facts: 5)])
        #expect(found[0] == 65_536 && found[2] == 65_536 && found[3] == 65_536)
        #expect((84_000...86_000).contains(found[1]))
        // Two do not tell who of them is right.
        #expect(CountConsensus.inflation(of: [reputation(1), reputation(2)]) == [65_536, 65_536])
        // Most of three lie: that is not seen.
        let most = CountConsensus.inflation(of: [reputation(1), reputation(2), reputation(2)])
        #expect(most == [65_536, 65_536, 65_536])
    }

    private func send(
        _ breaker: inout CircuitBreaker, _ outcome: CircuitBreaker.Outcome, _ count: Int,
        now: Int64 = 0
    ) {
        for _ in 0..<count { breaker.end(breaker.begin(now: now), outcome, now: now) }
    }

    @Test func aBreakerOpensForAProvidersOwnFailuresAlone() {
        var breaker = CircuitBreaker()
        send(&breaker, .callers, 50)
        send(&breaker, .saturated, 50)
        send(&breaker, .failed, 4)
        send(&breaker, .callers, 1)
        #expect(breaker.state == .closed)
        send(&breaker, .served, 1)
        send(&breaker, .failed, 4)
        #expect(breaker.allows(now: 0))
        send(&breaker, .failed, 1, now: 100)
        #expect(breaker.state == .open(until: 1_100))
        #expect(!breaker.allows(now: 1_099) && breaker.allows(now: 1_100))
    }

    /// Streams that began while it still worked end well; what begins now does not.
    @Test func whatBeganBeforeSaysNothingOfNow() {
        var breaker = CircuitBreaker()
        let early = (0..<9).map { _ in breaker.begin(now: 0) }
        for index in 0..<4 {
            send(&breaker, .failed, 1, now: 10)
            breaker.end(early[index], .served, now: 10)
        }
        send(&breaker, .failed, 1, now: 10)
        #expect(breaker.state == .open(until: 1_010))
        breaker.end(early[4], .served, now: 20)
        breaker.end(early[5], .failed, now: 20)
        #expect(breaker.state == .open(until: 1_010))
        let probe = breaker.begin(now: 1_010)
        breaker.end(early[6], .served, now: 1_011)
        breaker.end(early[7], .callers, now: 1_011)
        #expect(!breaker.allows(now: 1_012))
        breaker.end(probe, .served, now: 1_020)
        #expect(breaker.state == .closed)
    }

    @Test func oneProbeAtATimeFindsOutWhetherItIsBack() {
        var breaker = CircuitBreaker()
        send(&breaker, .failed, 5)
        var (now, waits): (Int64, [Int64]) = (1_000, [])
        for _ in 0..<8 {
            #expect(breaker.allows(now: now))
            let probe = breaker.begin(now: now)
            #expect(!breaker.allows(now: now))
            breaker.end(probe, .failed, now: now)
            guard case .open(let until) = breaker.state else { break }
            waits.append(until - now)
            now = until
        }
        #expect(waits == [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000])
        // A probe whose caller went away says nothing; one that is never told ends as well.
        send(&breaker, .callers, 1, now: now)
        #expect(breaker.allows(now: now))
        let probe = breaker.begin(now: now)
        #expect(!breaker.allows(now: now + 599_999) && breaker.allows(now: now + 600_000))
        breaker.end(probe, .served, now: now)
        #expect(breaker.state == .closed)
        send(&breaker, .failed, 5, now: now)
        #expect(breaker.state == .open(until: now + 1_000))
    }
}
