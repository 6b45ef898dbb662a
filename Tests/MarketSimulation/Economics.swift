import Receipts

/// The economics of the market, as a run shows them: figures, each held to what it should be.
public struct Economics {
    /// What is printed, a line each.
    public private(set) var lines: [String] = []
    /// How many checks hold.
    public private(set) var holding = 0
    /// The checks that do not hold.
    public private(set) var failures: [String] = []

    /// Requests of its own within which a provider that turned is no longer among the best: four
    /// half-lives, after which a mean has moved by 15/16, and those that were under way.
    private static let requestsToLose = 4 * 64

    /// Runs an honest router over the whole plan, and, where they are wanted, each modified one
    /// over a tenth of it.
    public init(_ plan: Simulation.Plan, withModified: Bool = true) throws {
        var simulation = try Simulation(plan)
        try simulation.run()
        describe(simulation)
        checkClearing(simulation)
        checkFloor(simulation)
        checkNewcomer(simulation)
        for turn in SimulatedProvider.Turn.allCases where turn != .honest {
            checkTurned(turn, simulation)
        }
        try checkSample(simulation)
        if withModified { try checkHabits(plan) }
    }

    /// Notes one figure, and whether it is what it should be.
    private mutating func check(_ holds: Bool, _ line: String) {
        lines.append("\(holds ? "holds" : "FAILS")  \(line)")
        if holds { holding += 1 } else { failures.append(line) }
    }

    private func ratio(_ value: Double) -> String {
        let thousandths = Int((value * 1_000).rounded())
        let digits = "\(1_000 + thousandths % 1_000)".dropFirst()
        return "\(thousandths / 1_000).\(digits)"
    }

    // MARK: An honest router

    private mutating func describe(_ simulation: Simulation) {
        let (plan, tally) = (simulation.plan, simulation.tally)
        lines.append(
            "seed \(plan.seed): \(plan.providers) providers, \(plan.requests) requests in "
                + "\(simulation.seconds) s; \(tally.failovers) attempts after a failed one, "
                + "\(tally.unserved) requests that nobody served")
    }

    // In score a choice of the band is within 5/4 of the best, and 2 % of them explore, which costs
    // what a blind choice does. What lies cost until they were seen is beside it.
    private mutating func checkClearing(_ simulation: Simulation) {
        let sums = simulation.tally.sums
        let cost = sums.paid / max(1, sums.cheapestSound)
        let score = sums.burdenedHonestly / max(1, sums.leastHonestly)
        let all = sums.burdened / max(1, sums.leastBurdened)
        let blind = sums.meanBurdened / max(1, sums.leastBurdened)
        let most = 0.98 * 1.25 + 0.02 * blind
        check(
            sums.requests > 0 && cost < 1.25,
            "regret in cost: \(ratio(cost)) times the cheapest provider that is as fast and as "
                + "sure as any at that moment, over \(sums.requests) requests; under 1.25")
        check(
            sums.requests > 0 && score < most,
            "regret in score: \(ratio(score)) times the best by the true speeds, failures and "
                + "counts, \(ratio(all)) with those that lie; under \(ratio(most))")
        let bad = sums.paid / max(1, sums.cheapest)
        let blindCost = sums.mean / max(1, sums.cheapestSound)
        lines.append(
            "       beside it: in cost \(ratio(bad)) times the cheapest however bad; "
                + "blind choices \(ratio(blindCost)) in cost and \(ratio(blind)) in score")
    }

    // A count whose mean is the floor is not four of its standard deviations below it.
    private mutating func checkFloor(_ simulation: Simulation) {
        let lines = simulation.tally.lines
        let starved = lines.filter {
            Double($0.chosenSettled) < $0.floor - 4 * $0.floor.squareRoot()
        }
        let least = lines.map { Double($0.chosenSettled) / max(1, $0.floor) }.min() ?? 0
        check(
            starved.isEmpty,
            "starved below the floor of an even share of 1 %: \(starved.count) of \(lines.count) "
                + "providers; the least has \(ratio(least)) times its floor")
    }

    // 32 facts at 1 % of the draw are 3,200 requests in the mean; twice that is 5 deviations.
    private mutating func checkNewcomer(_ simulation: Simulation) {
        let from = simulation.tally.lines[simulation.newcomer].inBandFrom
        let joined = simulation.plan.requests / 4
        let wait = from.map { $0 - joined }
        check(
            wait.map { $0 <= 6_400 } ?? false,
            "a cheaper newcomer: chosen as one of the best \(wait.map(String.init) ?? "never") "
                + "requests after it joined; within 6400")
    }

    private mutating func checkTurned(
        _ turn: SimulatedProvider.Turn, _ simulation: Simulation
    ) {
        guard let index = simulation.providers.firstIndex(where: { $0.turn == turn }) else {
            return check(false, "\(turn.rawValue): no such provider")
        }
        let line = simulation.tally.lines[index]
        let late = Double(line.chosenLate) / Double(max(1, simulation.tally.decidedLate))
        let share = "\(ratio(late * 100)) % of the choices of the last quarter"
        switch turn {
        case .honest: break
        case .shaves:
            // It pays for a tenth more with a score that is a tenth worse.
            check(line.isTurned, "\(turn.rawValue): is weighed at what it counts; \(share)")
        case .dies:
            // Five failures open the breaker; then six probes within the first minute, and one in
            // each minute more.
            let most = 11 + Int(simulation.seconds / 60)
            check(
                line.isTurned && line.askedSince <= most,
                "\(turn.rawValue): was asked \(line.askedSince) times since; at most \(most)")
        case .slow, .inflates, .invents:
            let most = Economics.requestsToLose + Int(simulation.providers[index].offer.streams)
            check(
                line.isTurned && line.lastInBand <= most && late <= 0.01,
                "\(turn.rawValue): was last among the best at request \(line.lastInBand) of its "
                    + "own since it turned; within \(most); then \(share), at most 1 %")
        }
    }

    private mutating func checkSample(_ simulation: Simulation) throws {
        let found = try simulation.ledger.audit(simulation.providers)
        let count = simulation.ledger.receipts.count
        check(
            found.isEmpty && count * 10 > simulation.plan.sample * 9,
            "honest router: \(count) receipts were signed and audited; \(describe(found))")
        let leftOut = try simulation.providers.reduce(0) {
            try $0 + simulation.ledger.participation(of: $1).leftOut.count
        }
        // Before it is admitted, the newcomer is a candidate too, and says why it has no part.
        check(leftOut == 0, "honest router: providers miss themselves in \(leftOut) requests")
    }

    private func describe(_ found: [String: Int]) -> String {
        guard !found.isEmpty else { return "the auditor finds nothing" }
        let parts = found.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value) times" }
        return "the auditor finds " + parts.joined(separator: ", ")
    }

    // MARK: Modified routers

    private mutating func checkHabits(_ plan: Simulation.Plan) throws {
        var plan = plan
        plan.requests = max(1_000, plan.requests / 10)
        plan.isCold = false
        var honest = try Simulation(plan)
        try honest.run()
        for habit in SimulatedRouter.Habit.allCases where habit != .honest {
            var simulation = try Simulation(plan, router: habit)
            try simulation.run()
            try check(habit, simulation, beside: honest)
        }
    }

    private mutating func check(
        _ habit: SimulatedRouter.Habit, _ simulation: Simulation, beside honest: Simulation
    ) throws {
        let found = try simulation.ledger.audit(simulation.providers)
        let codes = Array(found.keys)
        let (isSeen, account) = try seen(simulation)
        let holds =
            switch habit {
            case .honest: codes.isEmpty && !isSeen
            case .redraws: codes == ["audit.decision.draw"] && !isSeen
            case .weighs: codes == ["audit.decision.weights"] && !isSeen
            case .discounts: codes == ["audit.decision.cost"] && !isSeen
            // No auditor can see these two; the rival can.
            case .slanders, .omits: codes.isEmpty && isSeen
            }
        check(
            holds,
            "a router that \(habit.rawValue): of a thousand choices its own has "
                + "\(simulation.share(of: simulation.own)) and its rival "
                + "\(simulation.share(of: simulation.rival)), where an honest one gives "
                + "\(honest.share(of: honest.own)) and \(honest.share(of: honest.rival)); "
                + "\(describe(found)); \(account)")
    }

    /// What a rival sees in the sample: that it is not in it, or that it is said to be four times
    /// as slow as it is when it is full.
    private func seen(_ simulation: Simulation) throws -> (Bool, String) {
        let rival = simulation.rival
        let found = try simulation.ledger.participation(of: rival)
        let stated = found.speed?.first ?? 0
        let isSlandered = stated > 4 * 2 * rival.first
        return (
            isSlandered || !found.leftOut.isEmpty,
            "its rival misses itself in \(found.leftOut.count) of "
                + "\(simulation.ledger.receipts.count), and reads of \(stated / 1_000) ms to its "
                + "first token, which are \(rival.first / 1_000)"
        )
    }
}
