internal import Keys
internal import RATS

/// Holds a decision against the offers, against the formula of the weights, and against the draw.
extension ReceiptAudit {
    // A router that favours its own by its weights writes others than the measures give.
    func checkWeights(_ decision: Decision) throws(Refusal) {
        for (stated, weighed) in zip(decision.candidates, decision.weighed.candidates)
        where stated != weighed {
            throw refusal(
                "audit.decision.weights", "candidate \(Hex.encode(stated.offer))",
                "\(weighed.reason) \(weighed.weight)", "\(stated.reason) \(stated.weight)",
                "the router weighed it otherwise than by its measures")
        }
        let unmeasured = decision.candidates.first {
            $0.measures == nil && ($0.weight > 0 || Weighing.Place(rawValue: $0.reason) != nil)
        }
        if let unmeasured {
            throw refusal(
                "audit.decision.weights", "candidate \(Hex.encode(unmeasured.offer))",
                "measures, or no weight and why", "\(unmeasured.reason) \(unmeasured.weight)",
                "the router gave a part to what it did not measure")
        }
    }

    // And one that writes another cost than the offer has, other measures.
    func checkCosts(_ decision: Decision) throws(Refusal) {
        for candidate in decision.candidates {
            guard let measures = candidate.measures else { continue }
            guard let (offer, _) = offers[candidate.offer] else {
                throw refusal(
                    "audit.decision.offer", "candidate \(Hex.encode(candidate.offer))",
                    "an offer of the export", "none", "ask the router for the offer")
            }
            let cost = Decision.Measures.cost(of: decision.request.expected, at: offer.price)
            guard measures.cost == cost else {
                throw refusal(
                    "audit.decision.cost", "candidate \(Hex.encode(candidate.offer))",
                    "\(cost) for \(decision.request.expected.json.serialised())",
                    "\(measures.cost)", "the router weighed it at another price than offered")
            }
        }
    }

    // Each attempt is drawn anew among those that are left.
    func checkDraws(
        _ receipt: Receipt, _ decision: Decision, _ seed: [UInt8]
    ) throws(Refusal) {
        var left = decision
        for (index, attempt) in receipt.attempts.enumerated() {
            if index > 0 { left = left.without(receipt.attempts[index - 1].offer) }
            let drawn = left.choice(Decision.draw(for: receipt.id, attempt: index, seed: seed))
            guard drawn?.offer == attempt.offer else {
                throw refusal(
                    "audit.decision.draw", "attempts[\(index)]",
                    drawn.map { Hex.encode($0.offer) } ?? "none", Hex.encode(attempt.offer),
                    "the router chose another provider than the draw did")
            }
        }
    }
}
