import Ratel
import Receipts

/// What is counted while a simulation runs.
struct Tally {
    /// Of each provider.
    struct Line {
        /// First choices by score.
        var chosen = 0
        /// Of these, those after the first quarter of the run, in which providers are first met;
        /// and the fewest that it should have: of each decision in which it was admissible an even
        /// share of 1 %, half of the exploration.
        var chosenSettled = 0
        var floor = 0.0
        /// Since it turned: all requests that it was asked, and how many of these when it was
        /// last chosen as one of the best for a caller without demands.
        var isTurned = false
        var askedSince = 0
        var lastInBand = 0
        /// First choices for such callers in the last quarter of the run.
        var chosenLate = 0
        /// The number of the first such request that it was chosen for as one of the best.
        var inBandFrom: Int?
    }

    /// One provider that a request could have gone to.
    struct Choice {
        var provider: Int
        /// What it costs by the true counts, in nano-dollars, and how many times that it is worth.
        var cost: Int64
        var burden: Double
        /// Not where it lies, or serves nothing: that would be no bargain.
        var isBargain: Bool
    }

    /// Sums in nano-dollars over requests by score: what was paid, and what one could have paid
    /// at that moment: at the cheapest provider that is as fast and as sure as any; at the
    /// cheapest, however bad; and in the mean over all.
    struct Sums {
        var requests = 0
        var paid = 0.0
        var cheapestSound = 0.0
        var cheapest = 0.0
        var mean = 0.0
        /// What was paid with its burden, the least of these, and the mean.
        var burdened = 0.0
        var leastBurdened = 0.0
        var meanBurdened = 0.0
        /// The first two where the chosen one did not lie.
        var burdenedHonestly = 0.0
        var leastHonestly = 0.0
    }

    private(set) var lines: [Line]
    private let requests: Int
    var unserved = 0
    private(set) var failovers = 0
    private(set) var sums = Sums()
    private(set) var decidedLate = 0
    private var choices: [Choice] = []

    init(count: Int, requests: Int) {
        lines = Array(repeating: Line(), count: count)
        self.requests = requests
    }

    private func isSettled(_ request: SimulatedRequest) -> Bool {
        request.number >= requests / 4
    }

    private func isLate(_ request: SimulatedRequest) -> Bool {
        request.number >= requests * 3 / 4
    }

    mutating func considered(
        _ request: SimulatedRequest, _ decision: Decision, _ admissible: [Choice]
    ) {
        choices = []
        guard decision.request.order == .score else { return }
        choices = admissible
        if isLate(request), request.isPlain { decidedLate += 1 }
        for choice in admissible where isSettled(request) {
            lines[choice.provider].floor += 0.01 / Double(admissible.count)
        }
    }

    mutating func asked(
        _ provider: Int, _ offer: [UInt8], _ request: SimulatedRequest, _ decision: Decision,
        isFirst: Bool
    ) {
        if lines[provider].isTurned { lines[provider].askedSince += 1 }
        if !isFirst { failovers += 1 }
        guard isFirst, decision.request.order == .score else { return }
        lines[provider].chosen += 1
        if isSettled(request) { lines[provider].chosenSettled += 1 }
        // What other callers' ceilings and filters leave is the best of what they leave.
        guard request.isPlain else { return }
        if isLate(request) { lines[provider].chosenLate += 1 }
        let reason = decision.candidates.first { $0.offer == offer }?.reason
        let places = [Weighing.Place.band, .affinity].map(\.rawValue)
        if let reason, places.contains(reason) { wasBest(provider, request) }
    }

    private mutating func wasBest(_ provider: Int, _ request: SimulatedRequest) {
        if lines[provider].inBandFrom == nil { lines[provider].inBandFrom = request.number }
        if lines[provider].isTurned { lines[provider].lastInBand = lines[provider].askedSince }
    }

    mutating func turned(_ provider: Int) { lines[provider].isTurned = true }

    mutating func paid(_ provider: Int, _ cost: Int64) {
        guard let chosen = choices.first(where: { $0.provider == provider }),
            // Failures of 5 % are a burden of 1.053.
            let sound = choices.filter({ $0.isBargain && $0.burden < 1.06 }).map(\.cost).min()
        else { return }
        let costs = choices.map(\.cost)
        sums.requests += 1
        sums.paid += Double(cost)
        sums.cheapestSound += Double(sound)
        sums.cheapest += Double(costs.min() ?? 0)
        sums.mean += Double(costs.reduce(0, +)) / Double(costs.count)
        addBurdens(chosen)
    }

    private mutating func addBurdens(_ chosen: Choice) {
        let paid = Double(chosen.cost) * chosen.burden
        let burdened = choices.map { Double($0.cost) * $0.burden }
        let least = zip(choices, burdened).filter(\.0.isBargain).map(\.1).min() ?? 0
        sums.burdened += paid
        sums.leastBurdened += least
        sums.meanBurdened += burdened.reduce(0, +) / Double(burdened.count)
        guard chosen.isBargain else { return }
        sums.burdenedHonestly += paid
        sums.leastHonestly += least
    }
}
