import Ratel
import Receipts

/// What one caller wants, and what an answer will be.
struct SimulatedRequest {
    let number: Int
    let id: String
    let terms: RequestTerms
    /// What an honest engine counts.
    let usage: Usage
    let requestBytes: Int64
    let contentBytes: Int64
    /// Whether the caller gives up half-way.
    let gaveUp: Bool

    /// Whether the caller asks for nothing in particular.
    var isPlain: Bool { terms.preferences == ProviderPreferences() }

    init(_ number: Int, _ random: inout SplitMix64) {
        self.number = number
        id = "r-\(number)"
        let input = min(random.number(100...6_000), random.number(100...6_000))
        let cached = random.chance(300) ? input / 2 : 0
        let output = random.number(20...500)
        let isGivenUp = random.chance(30)
        gaveUp = isGivenUp
        usage = Usage(
            input: input, cached: cached, output: isGivenUp ? output / 2 : output, reasoning: 0)
        // Some four bytes a token, as English has.
        requestBytes = input * random.number(36...44) / 10 + 120
        contentBytes = usage.output * random.number(36...44) / 10
        // Three in ten begin as others do.
        let prefix = random.chance(300) ? [UInt8(random.number(0...199))] : nil
        terms = RequestTerms(
            model: "m", input: input, cached: cached, maxOutput: 1_000, prefix: prefix,
            preferences: SimulatedRequest.preferences(&random))
    }

    // One caller in four wants something.
    private static func preferences(_ random: inout SplitMix64) -> ProviderPreferences {
        var preferences = ProviderPreferences()
        switch random.number(0...99) {
        case 0..<5: preferences.sort = .price
        case 5..<7: preferences.sort = .throughput
        case 7..<12: preferences.regions = ["eu"]
        case 12..<17: preferences.quantizations = ["bf16"]
        case 17..<22: preferences.deniesRetention = true
        case 22..<25: preferences.maxPrice.input = 200_000_000
        default: break
        }
        return preferences
    }
}
