import Ratel
import Receipts

/// The router of a simulation, which may prefer a provider of its own.
struct SimulatedRouter {
    /// What it does for it.
    enum Habit: String, CaseIterable {
        case honest
        /// It takes its own whenever that has any part in the draw, whatever the draw is.
        case redraws
        /// It writes four times the weight.
        case weighs
        /// It weighs it at two thirds of its price.
        case discounts
        /// It says of a cheaper rival that it is slow.
        case slanders
        /// It does not look at a cheaper rival's offer.
        case omits
    }

    let habit: Habit
    let own: [UInt8]
    let rival: [UInt8]
    let pick: Pick
    private let seed: [UInt8]

    init(habit: Habit, own: [UInt8], rival: [UInt8], key: [UInt8], seed: [UInt8]) {
        self.habit = habit
        self.own = own
        self.rival = rival
        self.seed = seed
        pick = Pick(affinity: Affinity(key: key))
    }

    /// What it commits to, where `honest` is what it should.
    func decision(from honest: Decision) -> Decision {
        var candidates = honest.candidates
        let mine = candidates.firstIndex { $0.offer == own }
        let theirs = candidates.firstIndex { $0.offer == rival }
        switch habit {
        case .honest, .redraws: return honest
        case .weighs:
            if let mine { candidates[mine].weight *= 4 }
            return Decision(honest.request, candidates)
        case .discounts:
            if let mine, let cost = candidates[mine].measures?.cost {
                candidates[mine].measures?.cost = cost * 2 / 3
            }
        case .slanders: if let theirs { candidates[theirs].measures?.first = 20_000_000 }
        case .omits: if let theirs { candidates.remove(at: theirs) }
        }
        return Decision(honest.request, weighing: candidates)
    }

    /// The order in which it asks.
    func attempts(_ decision: Decision, _ request: SimulatedRequest) -> Asking {
        let isMine = decision.candidates.contains { $0.offer == own && $0.weight > 0 }
        return Asking(
            favourite: habit == .redraws && isMine ? own : nil,
            attempts: Attempts(
                decision, receipt: request.id, seed: seed, limit: request.terms.attemptLimit))
    }

    /// The real order, after the one that it likes better.
    struct Asking {
        var favourite: [UInt8]?
        var attempts: Attempts

        mutating func next() -> [UInt8]? {
            if let first = favourite {
                favourite = nil
                return first
            }
            return attempts.next()
        }
    }
}
