internal import Receipts

/// One provider's offer of one model in the market.
struct MarketStall {
    /// Told from every other that there ever was.
    let number: UInt64
    let provider: Provider
    var statement: SignedStatement
    var record: ProviderRecord
    /// Tokens that ended within the last minute, by the second.
    var spent: [(second: Int64, tokens: Int64)] = []
    var pendingTokens: Int64 = 0

    /// Counts what ended within the last minute, and what is under way.
    mutating func settle(_ now: Int64) {
        let second = now / 1_000
        spent.removeAll { $0.second <= second - 60 }
        record.tokensInUse = spent.reduce(pendingTokens) { $0 + $1.tokens }
    }

    /// Takes what came of a request.
    mutating func end(_ ticket: Market.Ticket, _ outcome: Market.Outcome, _ now: Int64) {
        record.openStreams -= 1
        pendingTokens -= ticket.tokens
        let breaker: CircuitBreaker.Outcome
        switch outcome {
        case .served(let answer):
            record.reputation.served(answer)
            spend(answer.usage.input + answer.usage.output, now)
            breaker = .served
        case .gaveUp(let answer):
            if let answer {
                record.reputation.gaveUp(answer)
                spend(answer.usage.input + answer.usage.output, now)
            }
            breaker = .callers
        case .failed:
            record.reputation.failed()
            breaker = .failed
        case .saturated: breaker = .saturated
        case .callers: breaker = .callers
        }
        record.breaker.end(ticket.breaker, breaker, now: now)
    }

    private mutating func spend(_ tokens: Int64, _ now: Int64) {
        let second = now / 1_000
        if spent.last?.second == second {
            spent[spent.count - 1].tokens += tokens
        } else {
            spent.append((second, tokens))
        }
    }
}

/// What is in the market now.
struct MarketState {
    /// By model, in the order of the offers' digests.
    var stalls: [String: [MarketStall]] = [:]
    /// Stalls that there ever were.
    var made: UInt64 = 0
    private var lastConsensus: Int64 = 0

    /// Milliseconds between two comparisons of counts: they move by a hundredth with each answer.
    private static let consensusPeriod: Int64 = 1_000

    /// Changes one of them in place.
    @discardableResult
    mutating func change<Result>(
        _ model: String, _ index: Int, _ change: (inout MarketStall) -> Result
    ) -> Result {
        change(&stalls[model, default: []][index])
    }

    /// Compares what providers with the same weights count.
    mutating func compare(_ model: String, _ now: Int64) {
        guard now - lastConsensus >= MarketState.consensusPeriod || now < lastConsensus,
            var compared = stalls[model]
        else { return }
        lastConsensus = now
        let groups = Dictionary(grouping: compared.indices) {
            compared[$0].record.offer.model.weights
        }
        for indices in groups.values {
            let inflation = CountConsensus.inflation(
                of: indices.map { compared[$0].record.reputation })
            for (index, value) in zip(indices, inflation) {
                compared[index].record.inflation = value
            }
        }
        stalls[model] = compared
    }
}
