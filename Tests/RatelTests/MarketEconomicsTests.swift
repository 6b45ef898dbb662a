import MarketSimulation
import Testing

/// The economics of the market in a small one; `make market` runs the large one.
struct MarketEconomicsTests {
    private let plan = Simulation.Plan(
        seed: 11, providers: 16, requests: 10_000, sample: 200, isCold: false)

    @Test func theMarketClearsAndLiesDoNotPay() throws {
        let economics = try Economics(plan)
        #expect(economics.failures == [])
        #expect(economics.holding == 16)
    }

    @Test func theSameSeedGivesTheSameMarket() throws {
        var small = plan
        (small.requests, small.sample) = (1_000, 20)
        func lines() throws -> [String] { try Economics(small, withModified: false).lines }
        let first = try lines()
        #expect(try lines() == first)
        small.seed += 1
        #expect(try lines() != first)
    }
}
