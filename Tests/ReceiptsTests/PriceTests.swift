import Receipts
import Testing

struct PriceTests {
    private func usage(_ input: Int64, _ cached: Int64, _ output: Int64) -> Usage {
        Usage(input: input, cached: cached, output: output, reasoning: 0)
    }

    @Test func tokensOfEachKindHaveTheirPrice() {
        // $0.15, $0.015 and $0.60 for a million.
        let price = Price(input: 150_000_000, cached: 15_000_000, output: 600_000_000)
        #expect(price.cost(of: usage(1_000_000, 0, 0)) == 150_000_000)
        #expect(price.cost(of: usage(1_000_000, 400_000, 500_000)) == 396_000_000)
        #expect(price.cost(of: usage(6_000, 2_000, 400)) == 600_000 + 30_000 + 240_000)
    }

    @Test func theSumIsRoundedUpOnce() {
        let price = Price(input: 1, cached: 1, output: 1)
        #expect(price.cost(of: usage(1, 0, 1)) == 1)
        #expect(price.cost(of: usage(1_000_000, 0, 0)) == 1)
        #expect(price.cost(of: usage(1_000_000, 0, 1)) == 2)
    }

    @Test func theMinimumIsForWhatWasServed() {
        let price = Price(input: 1, cached: 1, output: 1, minimum: 70)
        #expect(price.cost(of: .none) == 0)
        #expect(price.cost(of: usage(1, 0, 0)) == 70)
        #expect(price.cost(of: usage(80_000_000, 0, 0)) == 80)
    }

    @Test func nothingOverflows() {
        let price = Price(input: Price.max, cached: Price.max, output: Price.max)
        let most = usage(Usage.max, 0, Usage.max)
        #expect(most.isPossible)
        #expect(price.cost(of: most) == 2 * 2_147_483_648 * 1_000_000_000)
    }

    @Test func countsThatCannotBeAreKnown() {
        #expect(!usage(10, 11, 0).isPossible)
        #expect(!Usage(input: 0, cached: 0, output: 1, reasoning: 2).isPossible)
        #expect(!usage(-1, 0, 0).isPossible)
        #expect(!usage(Usage.max + 1, 0, 0).isPossible)
    }
}
