import Keys
import Testing

@testable import Receipts

/// The weights, by hand.
struct WeighingTests {
    typealias Measures = Decision.Measures

    private func request(
        _ order: Decision.Order = .score, first: Int64 = 2_000_000, gap: Int64 = 40_000
    ) -> Decision.Request {
        Decision.Request(
            order: order, expected: Usage(input: 1, cached: 0, output: 1, reasoning: 0),
            first: first, gap: gap)
    }

    private func weigh(
        _ request: Decision.Request, _ measures: [Measures?], affinity: Int? = nil
    ) -> [Decision.Candidate] {
        let candidates = measures.enumerated().map { index, measures in
            Decision.Candidate(
                offer: [UInt8(index)] + [UInt8](repeating: 0, count: 31), weight: 0,
                reason: index == affinity ? "affinity" : "price", measures: measures)
        }
        return Decision(request, weighing: candidates).candidates
    }

    private func changed(_ cost: Int64, _ change: (inout Measures) -> Void) -> Measures {
        var measures = Measures.usual(cost: cost)
        change(&measures)
        return measures
    }

    @Test func theScoreIsCostTimesPenaltiesOverSuccess() {
        func score(_ cost: Int64, _ change: (inout Measures) -> Void = { _ in }) -> UInt64 {
            Weighing.score(of: changed(cost, change), request())
        }
        #expect(score(1_000) == 1_024_000)
        #expect(score(0) == 1_024)
        #expect(score(1_000) { $0.success = Measures.unit / 2 } == 2_048_000)
        #expect(score(1_000) { $0.first = 2_000_000 } == 1_024_000)
        #expect(score(1_000) { $0.first = 5_000_000 } == 2_560_000)
        #expect(score(1_000) { $0.gap = 60_000 } == 1_536_000)
        #expect(score(1_000) { $0.gap = 1 << 50 } == 16 * 1_024_000)
        #expect(score(1_000) { $0.inflation = Measures.unit * 3 / 2 } == 1_536_000)
        #expect(
            score(Int64(CanonicalJSON.maxNumber)) {
                ($0.first, $0.gap, $0.success) = (1 << 52, 1 << 52, 0)
                $0.inflation = 16 * Measures.unit
            } == Weighing.demotion - 1)
    }

    @Test func theBandEndsAtAQuarterOverTheBest() {
        let weighed = weigh(
            request(), [1_000, 1_100, 1_249, 1_250, 9_000].map { .usual(cost: $0) })
        #expect(weighed.map(\.reason) == ["band", "band", "band", "exploration", "exploration"])
        let unit = Double(Weighing.unit)
        let parts = weighed.map { Double($0.weight) / unit }
        #expect(abs(parts[0] - 1) < 1e-6 && abs(parts[1] - 0.6) < 1e-6)
        #expect(abs(parts[2] - 0.004) < 1e-6)
        let outside = (parts[3] + parts[4]) / parts.reduce(0, +)
        #expect(abs(outside - 0.02) < 1e-6 && parts[3] == parts[4])
    }

    @Test func whatIsNewHasHalfOfTheExploration() {
        let fresh = changed(1) { $0.facts = 31 }
        let weighed = weigh(
            request(), [.usual(cost: 10), fresh, .usual(cost: 90), .usual(cost: 90), nil])
        let total = Double(weighed.reduce(0) { $0 + $1.weight })
        #expect(weighed.map(\.reason) == ["band", "new", "exploration", "exploration", "price"])
        #expect(abs(Double(weighed[1].weight) / total - 0.01) < 1e-6)
        #expect(abs(Double(weighed[2].weight) / total - 0.005) < 1e-6)
        #expect(weighed[4].weight == 0)
        // Where nothing is known of any, each has the same.
        #expect(weigh(request(), [fresh, fresh]).map(\.weight) == [1 << 31, 1 << 31])
    }

    @Test func countsThatCannotBeReliedOnExplore() {
        let lies = [
            changed(1) { $0.disagreement = 4_097 }, changed(1) { $0.inflation = 73_729 },
        ]
        let edge = changed(1) { ($0.disagreement, $0.inflation) = (4_096, 73_728) }
        #expect(
            weigh(request(), [edge] + lies).map(\.reason) == ["band", "counts", "counts"])
        #expect(weigh(request(), lies).allSatisfy { $0.weight == Weighing.unit })
    }

    @Test func affinityTakesTheBandsPartAndNoMore() {
        let costs = [100, 110, 200].map { Measures.usual(cost: $0) }
        let plain = weigh(request(), costs)
        let drawn = weigh(request(), costs, affinity: 1)
        #expect(drawn.map(\.reason) == ["band", "affinity", "exploration"])
        #expect(drawn[1].weight == plain[0].weight + plain[1].weight && drawn[0].weight == 0)
        #expect(drawn[2].weight == plain[2].weight)
        // Outside of the band it is nothing.
        #expect(weigh(request(), costs, affinity: 2) == plain)
    }

    @Test func sortsGiveAllToTheFirstAndThenTheNext() {
        let dear = changed(30) { ($0.first, $0.gap) = (100_000, 10_000) }
        let cheap = changed(10) { ($0.first, $0.gap) = (900_000, 30_000) }
        let fresh = changed(1) { ($0.facts, $0.first, $0.gap) = (0, 0, 0) }
        func order(_ request: Decision.Request, _ measures: [Measures?]) -> [Int] {
            var (decision, order) = (Decision(request, weigh(request, measures)), [Int]())
            while let next = decision.choice(.max) {
                order.append(Int(next.offer[0]))
                #expect(next.weight == 1 && next.reason == "first")
                decision = decision.without(next.offer)
            }
            return order
        }
        let all: [Measures?] = [dear, fresh, nil, cheap]
        #expect(order(request(.price, first: 0, gap: 0), all) == [3, 0, 1])
        #expect(order(request(.throughput, first: 0, gap: 0), all) == [0, 3, 1])
        #expect(order(request(.latency, first: 0, gap: 0), all) == [0, 3, 1])
        // A tenth more tokens for the same bytes is a tenth dearer.
        let padded = changed(95) { $0.inflation = Measures.unit * 11 / 10 }
        #expect(order(request(.price), [padded, changed(100) { _ in }]) == [1, 0])
        // What is over the caller's own limit comes after what is not.
        #expect(order(request(.price, first: 500_000, gap: 0), all) == [0, 1, 3])
        let named = [dear, cheap, changed(20) { $0.position = 2 }, changed(90) { $0.position = 1 }]
        #expect(order(request(.order), named) == [3, 2, 1, 0])
    }

    @Test func theLargestDecisionStaysWithinItsNumbers() {
        let count = Decision.maxCandidates
        let weighed = weigh(
            request(), [Measures?](repeating: .usual(cost: 1), count: 256), affinity: 3)
        #expect(weighed[3].weight == 256 * Weighing.unit)
        #expect(UInt64(count) * Weighing.unit <= Decision.maxWeight)
        #expect(Weighing.unit / (Weighing.exploration * UInt64(2 * count)) > 1_000)
    }
}
