import Keys
import RATS
import Testing

@testable import Receipts

/// Each thing that a router or a provider could write in its own favour, and the honest account.
struct ReceiptAuditTests {
    @Test func anHonestAccountAddsUp() throws {
        var market = try Market()
        for index in 0..<20 {
            try market.serve("r\(index)", end: [.complete, .cancelled, .error][index % 3])
        }
        let (codes, bill) = try market.audit()
        #expect(codes == [])
        #expect(bill?.requests == 20)
        // 500 × 0.1 + 100 × 0.01 + 40 × 0.4 thousandths of a dollar-millionth: 67,000 nano-dollars.
        #expect(bill.map { $0.cost % 67_000 == 0 && $0.cost >= 7 * 67_000 } == true)
    }

    private func findings(
        facts: (inout ServiceFacts) -> Void = { _ in }, receipt: (inout Receipt) -> Void = { _ in }
    ) throws -> [String] {
        var market = try Market()
        try market.serve("first")
        try market.serve("r", facts: facts, receipt: receipt)
        return try market.audit().codes
    }

    @Test func aRouterThatBillsOtherwiseIsFound() throws {
        #expect(try findings(receipt: { $0.cost += 1 }) == ["audit.cost"])
        #expect(try findings(receipt: { $0.usage.output += 1 }) == ["audit.cost"])
        #expect(
            try findings(receipt: {
                $0.price = Price(input: 200_000_000, cached: 10_000_000, output: 400_000_000)
                $0.cost += 50_000
            }) == ["audit.offer.price"])
        #expect(
            try findings(receipt: {
                $0.service = nil
                $0.cost = 5
            }) == ["audit.cost", "audit.service.end"])
        #expect(try findings(receipt: { $0.end = .cancelled }) == ["audit.service.end"])
        #expect(
            try findings(receipt: {
                ($0.service, $0.usage, $0.cost) = (nil, .none, 0)
                ($0.end, $0.attempts[0].outcome) = (.error, .failed)
            }) == [])
    }

    @Test func factsOfAnotherRequestAreFound() throws {
        #expect(try findings(facts: { $0.receipt = "other" }) == ["audit.service.receipt"])
        #expect(try findings(facts: { $0.model = "small" }) == ["audit.offer.model"])
        #expect(
            try findings(facts: { $0.weights = Digest.sha256([9]) }) == ["audit.offer.model"])
        #expect(try findings(facts: { $0.started = 2_001_000 }) == ["audit.offer.expired"])
        #expect(
            try findings(facts: { $0.offer = Digest.sha256([1]) }) == [
                "audit.offer.missing", "audit.service.offer",
            ])
    }

    @Test func factsOfAnotherProviderAreFound() throws {
        let stranger = try PrivateKey.generate()
        var market = try Market()
        try market.serve("r", signer: stranger)
        #expect(try market.audit().codes == ["audit.offer.key"])
        // Nor does one provider's word stand for the other's.
        market = try Market()
        let drawn = try #require(
            try market.considered().choice(
                Decision.draw(for: "r", attempt: 0, seed: market.seed)))
        let other = try #require(market.offers.firstIndex { $0.digest != drawn.offer })
        try market.serve("r", signer: market.providers[other])
        #expect(try market.audit().codes == ["audit.offer.key"])
    }

    @Test func aChoiceThatTheDrawDidNotMakeIsFound() throws {
        var market = try Market()
        let others = market.offers.map(\.digest)
        try market.serve("r") { receipt in
        } receipt: { receipt in
            let chosen = receipt.attempts[0].offer
            let other = others.first { $0 != chosen }!
            receipt.attempts.insert(.init(offer: other, outcome: .failed), at: 0)
        }
        #expect(try market.audit().codes.contains("audit.decision.draw"))
    }

    private func findings(decision: (Decision) -> Decision) throws -> [String] {
        var market = try Market()
        try market.serve("r", decision: { $0 = decision($0) })
        return try market.audit().codes
    }

    @Test func weightsThatDoNotFollowFromMeasuresAreFound() throws {
        func changed(_ change: (inout Decision.Candidate) -> Void) throws -> [String] {
            try findings { decision in
                var candidates = decision.candidates
                change(&candidates[0])
                return Decision(decision.request, candidates)
            }
        }
        #expect(try changed { _ in } == [])
        #expect(try changed { $0.weight *= 2 } == ["audit.decision.weights"])
        #expect(try changed { $0.measures?.first = 9_000_000 } == ["audit.decision.weights"])
        #expect(try changed { $0.reason = "exploration" } == ["audit.decision.weights"])
        #expect(
            try changed {
                $0.measures = nil
                $0.reason = "price"
            }.contains("audit.decision.weights"))
    }

    @Test func measuresThatDoNotFollowFromOffersAreFound() throws {
        let codes = try findings { decision in
            var candidates = decision.candidates
            candidates[0].measures?.cost -= 1
            return Decision(decision.request, weighing: candidates)
        }
        #expect(codes == ["audit.decision.cost"])
    }

    /// Nobody but the provider whose offer it is can miss it.
    @Test func aProviderFindsWhereItWasLeftOut() throws {
        var market = try Market()
        let own = market.offers[0]
        for index in 0..<4 { try market.serve("r\(index)") }
        try market.serve("without", decision: { $0 = $0.without(own.digest) })
        #expect(try market.audit().codes == [])
        var participation = try Participation(of: [own])
        for receipt in market.receipts {
            let id = try Receipt(receipt).id
            try participation.add(receipt, try #require(market.decisions[id]))
        }
        #expect(participation.leftOut == ["without"])
        #expect(participation.requests == 5 && participation.weighed == 4)
        #expect(participation.speed.map { $0 == (500_000, 20_000) } == true)
        // In force from second 1,000 on: a minute later it should have been known.
        var late = try Participation(of: [own], grace: 501)
        try late.add(market.receipts[4], try #require(market.decisions["without"]))
        #expect(late.leftOut == [] && late.requests == 0)
    }

    @Test func candidatesAndSeedsCannotBeChangedLater() throws {
        var market = try Market()
        try market.serve("r")
        let only = try market.considered().without(market.offers[0].digest)
        #expect(try market.audit(decisions: ["r": only]).codes == ["audit.decision.root"])
        #expect(try market.audit(decisions: [:]).codes == ["audit.decision.missing"])
        #expect(try market.audit(seeds: [Digest.sha256([1])]).codes == ["audit.seed.missing"])
        #expect(
            try market.audit(offers: []).codes == ["audit.decision.offer", "audit.offer.missing"])
        #expect(
            try market.audit(key: market.providers[0].spki).codes == ["audit.router.key"])
    }

    @Test func whatIsMissingShows() throws {
        var market = try Market()
        for index in 0..<12 { try market.serve("r\(index)") }
        for missing in 1..<11 {
            let codes = try market.audit(without: missing).codes
            #expect(codes.contains("audit.receipt.gap"), "\(missing): \(codes)")
        }
    }

    @Test func whatWasReplacedOrBilledTwiceShows() throws {
        var market = try Market()
        try market.serve("a")
        try market.serve("a")
        #expect(try market.audit().codes == ["audit.receipt.twice"])

        market = try Market()
        try market.serve("a")
        try market.serve("b", receipt: { $0.previous = Digest.sha256([1]) })
        #expect(try market.audit().codes == ["audit.receipt.chain"])

        market = try Market()
        for index in 0..<8 { try market.serve("r\(index)", facts: { $0.sequence = 1 }) }
        #expect(try market.audit().codes.contains("audit.service.twice"))

        market = try Market()
        for index in 0..<8 {
            try market.serve("r\(index)", facts: { $0.previous = Digest.sha256([UInt8(index)]) })
        }
        #expect(try market.audit().codes.contains("audit.service.chain"))

        market = try Market()
        for index in 0..<8 { try market.serve("r\(index)", facts: { $0.sequence *= 2 }) }
        #expect(try market.audit().codes.contains("audit.service.gap"))
    }

    @Test func statementsAreOfTheirKindAndUnchanged() throws {
        var market = try Market()
        try market.serve("r")
        let json = market.receipts[0].json
        #expect(throws: Never.self) { try SignedStatement(.receipt, reading: json) }
        #expect(throws: Refusal.self) { try SignedStatement(.service, reading: json) }
        var members = try #require(json.members)
        var body = try #require(members[0].value.members)
        let index = try #require(body.firstIndex { $0.name == "cost_nusd" })
        body[index] = .init("cost_nusd", .integer(1))
        members[0] = .init("body", .object(body))
        #expect(throws: Refusal.self) {
            try SignedStatement(.receipt, reading: .object(members))
        }
        // The spelling is not signed, the meaning is.
        members[0] = .init("body", .object(Array(try #require(json["body"]?.members).reversed())))
        #expect(throws: Never.self) { try SignedStatement(.receipt, reading: .object(members)) }
    }
}
