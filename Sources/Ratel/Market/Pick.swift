package import Receipts

/// Chooses providers for requests: filters, measures, and leaves the rest to `Weighing` and the
/// draw, which an auditor can repeat. No clock, no chance and no memory of its own.
package struct Pick: Sendable {
    private let affinity: Affinity

    package init(affinity: Affinity) {
        self.affinity = affinity
    }

    /// The decision on one request at `now`, in milliseconds since 1970, among all providers of its
    /// model: at most `Decision.maxCandidates`, which is the registry's to hold to.
    package func decide(
        _ terms: RequestTerms, among providers: [ProviderRecord], now: Int64
    ) -> Decision {
        let request = terms.weighing
        let candidates = providers.map { provider in
            let exclusion = Exclusion.of(provider, for: terms, now: now)
            return Decision.Candidate(
                offer: provider.digest, weight: 0, reason: exclusion?.rawValue ?? "",
                measures: exclusion == nil ? measures(of: provider, terms, request) : nil)
        }
        let decision = Decision(request, weighing: candidates)
        guard let prefix = terms.prefix, request.order == .score else { return decision }
        return prefer(prefix, decision, providers)
    }

    private func measures(
        of provider: ProviderRecord, _ terms: RequestTerms, _ request: Decision.Request
    ) -> Decision.Measures {
        let known = provider.reputation
        let order = terms.preferences.order
        return Decision.Measures(
            cost: Decision.Measures.cost(of: request.expected, at: provider.offer.price),
            first: known.first.value, gap: known.gap.value, success: known.reliability,
            inflation: provider.inflation, disagreement: known.disagreement.value,
            facts: known.facts,
            position: order.firstIndex(of: provider.name).map { Int64($0) + 1 } ?? 0)
    }

    // Weighed again with one of the band marked.
    private func prefer(
        _ prefix: [UInt8], _ decision: Decision, _ providers: [ProviderRecord]
    ) -> Decision {
        var candidates = decision.candidates
        let band = candidates.indices.filter {
            candidates[$0].reason == Weighing.Place.band.rawValue
        }
        // With one in the band there is nothing to prefer.
        guard band.count > 1 else { return decision }
        let byDigest = Dictionary(
            providers.map { ($0.digest, $0) }, uniquingKeysWith: { first, _ in first })
        let places = band.compactMap { byDigest[candidates[$0].offer] }.map {
            Affinity.Place(
                name: $0.name, openStreams: $0.openStreams, streams: $0.offer.streams)
        }
        guard let index = affinity.preferred(prefix, among: places) else { return decision }
        candidates[band[index]].reason = Weighing.Place.affinity.rawValue
        return Decision(decision.request, weighing: candidates)
    }
}

/// Asks one provider after the other, as the draw has it, each once.
package struct Attempts: Sendable {
    /// What the receipt commits to, whatever was asked.
    package let decision: Decision
    private let receipt: String
    private let seed: [UInt8]
    private let limit: Int
    private var left: Decision
    package private(set) var count = 0

    /// For the receipt with this identifier, under the seed of its hour; at most `limit`
    /// (`RequestTerms.attemptLimit`).
    package init(_ decision: Decision, receipt: String, seed: [UInt8], limit: Int) {
        self.decision = decision
        self.receipt = receipt
        self.seed = seed
        self.limit = min(limit, Receipt.maxAttempts)
        left = decision
    }

    /// The digest of the offer that is asked next; nil where there is none left to ask.
    package mutating func next() -> [UInt8]? {
        guard count < limit else { return nil }
        let draw = Decision.draw(for: receipt, attempt: count, seed: seed)
        guard let chosen = left.choice(draw) else { return nil }
        count += 1
        left = left.without(chosen.offer)
        return chosen.offer
    }
}
