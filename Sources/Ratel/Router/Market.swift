internal import Bytes
internal import Keys
internal import Loop
internal import Receipts

/// The offers of all admitted providers and what is known of them: where requests are decided.
final class Market: Sendable {
    /// One request's part of a provider, from when it is sent until it ends.
    struct Ticket: Sendable {
        /// The stall that it was taken from, which may have made room for another of the same
        /// provider meanwhile.
        let stall: UInt64
        let model: String
        let tokens: Int64
        let breaker: CircuitBreaker.Ticket
    }

    /// A provider that was drawn.
    struct Chosen: Sendable {
        let provider: Provider
        let offer: Offer
        let statement: SignedStatement
    }

    private let state = Locked(MarketState())
    private let pick: Pick

    /// `affinity` is secret, 32 bytes.
    init(affinity: [UInt8]) {
        pick = Pick(affinity: Affinity(key: affinity))
    }

    // MARK: Providers

    /// Puts an offer up, or its next version; what is known of the provider stays.
    func put(
        _ statement: SignedStatement, _ offer: Offer, of provider: Provider, context: Int64,
        parameters: Set<String>, attestation: ProviderRecord.Attestation
    ) {
        state.withLock { state in
            var stalls = state.stalls[offer.model.id] ?? []
            if let index = stalls.firstIndex(where: { $0.provider === provider }) {
                stalls[index].statement = statement
                stalls[index].record.digest = statement.digest
                stalls[index].record.offer = offer
                stalls[index].record.context = context
                stalls[index].record.parameters = parameters
                stalls[index].record.attestation = attestation
                stalls[index].record.isHealthy = true
            } else if stalls.count < Decision.maxCandidates {
                state.made += 1
                stalls.append(
                    MarketStall(
                        number: state.made, provider: provider, statement: statement,
                        record: ProviderRecord(
                            name: provider.name, digest: statement.digest, offer: offer,
                            context: context, parameters: parameters, attestation: attestation)))
            }
            stalls.sort { $0.record.digest.lexicographicallyPrecedes($1.record.digest) }
            state.stalls[offer.model.id] = stalls
        }
    }

    /// Drops what the provider offers no more, where that is more than it may offer at once: what
    /// it withdrew is listed for as long as there are no more names than that.
    func keep(_ models: Set<String>, of provider: Provider) {
        state.withLock { state in
            let own = state.stalls.filter { $0.value.contains { $0.provider === provider } }.keys
            guard own.count > ListedOffers.most else { return }
            for model in own where !models.contains(model) {
                let left = state.stalls[model]?.filter { $0.provider !== provider } ?? []
                state.stalls[model] = left.isEmpty ? nil : left
            }
        }
    }

    /// The provider is admitted no more: nothing of it is sent there, and that is remembered.
    func withdraw(_ provider: Provider) {
        change(provider) { stall in
            if stall.record.attestation != nil { stall.record.reputation.lapsed() }
            stall.record.attestation = nil
        }
    }

    /// It said that it is full, or not.
    func note(_ provider: Provider, isFull: Bool) {
        change(provider) { $0.record.isHealthy = !isFull }
    }

    /// The provider is gone for good.
    func remove(_ provider: Provider) {
        state.withLock { state in
            for (model, stalls) in state.stalls {
                let left = stalls.filter { $0.provider !== provider }
                state.stalls[model] = left.isEmpty ? nil : left
            }
        }
    }

    private func change(_ provider: Provider, _ change: (inout MarketStall) -> Void) {
        state.withLock { state in
            for (model, stalls) in state.stalls {
                guard let index = stalls.firstIndex(where: { $0.provider === provider }) else {
                    continue
                }
                state.change(model, index, change)
            }
        }
    }

    // MARK: Requests

    /// Decides on one request; nil where nobody offers the model.
    func decide(_ terms: RequestTerms, now: Int64) -> Decision? {
        let records = state.withLock { (state: inout MarketState) -> [ProviderRecord]? in
            guard var stalls = state.stalls[terms.model] else { return nil }
            for index in stalls.indices { stalls[index].settle(now) }
            state.stalls[terms.model] = stalls
            return stalls.map(\.record)
        }
        return records.map { pick.decide(terms, among: $0, now: now) }
    }

    /// The provider whose offer has this digest; nil where it has another by now.
    func chosen(_ digest: [UInt8], model: String) -> Chosen? {
        state.withLock { state in
            state.stalls[model]?.first { $0.record.digest == digest }.map {
                Chosen(provider: $0.provider, offer: $0.record.offer, statement: $0.statement)
            }
        }
    }

    /// The most that a request may cost at each of the offers that it was weighed for, by their
    /// digests; `usage` is the most that it may take of a model with that context.
    func costs(
        _ decision: Decision, model: String, _ usage: (Int64) -> Usage
    ) -> [[UInt8]: Int64] {
        let weighed = Set(decision.candidates.filter { $0.measures != nil }.map(\.offer))
        return state.withLock { state in
            var costs: [[UInt8]: Int64] = [:]
            for stall in state.stalls[model] ?? [] where weighed.contains(stall.record.digest) {
                costs[stall.record.digest] = Decision.Measures.cost(
                    of: usage(stall.record.context), at: stall.record.offer.price)
            }
            return costs
        }
    }

    /// A request goes to a provider, and is expected to take so many tokens.
    func begin(_ chosen: Chosen, model: String, tokens: Int64, now: Int64) -> Ticket? {
        state.withLock { state in
            guard
                let index = state.stalls[model]?
                    .firstIndex(where: { $0.provider === chosen.provider })
            else { return nil }
            return state.change(model, index) { stall in
                stall.record.openStreams += 1
                stall.pendingTokens += tokens
                return Ticket(
                    stall: stall.number, model: model, tokens: tokens,
                    breaker: stall.record.breaker.begin(now: now))
            }
        }
    }

    /// What came of a request that went to a provider.
    enum Outcome: Sendable {
        case served(Reputation.Answer)
        case gaveUp(Reputation.Answer?)
        case failed
        case saturated
        /// It says nothing of the provider.
        case callers
    }

    func end(_ ticket: Ticket, _ outcome: Outcome, now: Int64) {
        state.withLock { state in
            guard
                let index = state.stalls[ticket.model]?
                    .firstIndex(where: { $0.number == ticket.stall })
            else { return }
            state.change(ticket.model, index) { $0.end(ticket, outcome, now) }
            if case .served = outcome { state.compare(ticket.model, now) }
        }
    }

    // MARK: Views

    /// One offer with what is known of its provider, for pages and listings.
    struct View: Sendable {
        let provider: Provider
        let statement: SignedStatement
        let record: ProviderRecord
    }

    func views(now: Int64) -> [View] {
        state.withLock { state in
            state.stalls.values.flatMap { $0 }.map { stall in
                var stall = stall
                stall.settle(now)
                return View(
                    provider: stall.provider, statement: stall.statement, record: stall.record)
            }
        }.sorted {
            ($0.record.offer.model.id, $0.record.name) < ($1.record.offer.model.id, $1.record.name)
        }
    }
}
