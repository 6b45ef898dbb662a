import Keys
import Receipts

@testable import Ratel

/// Providers that differ in what a test says.
enum MarketFixture {
    /// Milliseconds since 1970.
    static let now: Int64 = 1_800_000_000_000

    static func offer(_ name: String, price: Int64) -> Offer {
        Offer(
            id: name, sequence: 1, keyset: Digest.sha256(Array(name.utf8)),
            measurement: Digest.sha256([3]),
            model: Offer.Model(id: "m", weights: Digest.sha256([4]), quantization: "fp8"),
            price: Price(input: price, cached: price / 10, output: 4 * price),
            billing: .postpaid, settlement: "invoice", cancelPolicy: .counted,
            tokensPerMinute: 1_000_000, streams: 10, region: "eu", retention: "none",
            notBefore: now / 1_000 - 60, notAfter: now / 1_000 + 600)
    }

    static func answer(
        first: Int64 = 500_000, gap: Int64? = 20_000, usage: Usage? = nil,
        counts: CountCheck.Verdict = .possible
    ) -> Reputation.Answer {
        Reputation.Answer(
            first: first, gap: gap,
            usage: usage ?? Usage(input: 1_000, cached: 0, output: 100, reasoning: 0),
            requestBytes: 4_000, contentBytes: 400, counts: counts)
    }

    /// A provider with facts enough to be compared.
    static func provider(
        _ name: String, price: Int64 = 100_000_000, facts: Int = 100,
        _ change: (inout ProviderRecord) -> Void = { _ in }
    ) -> ProviderRecord {
        var provider = ProviderRecord(
            name: name, digest: Digest.sha256(Array("offer \(name)".utf8)),
            offer: offer(name, price: price), context: 100_000, parameters: ["tools"],
            attestation: .init(
                session: "s-\(name)", claims: ["tdx"], appraised: now - 30_000,
                admittedUntil: now + 30_000))
        for _ in 0..<facts { provider.reputation.served(answer()) }
        change(&provider)
        return provider
    }

    static func terms(
        _ change: (inout ProviderPreferences) -> Void = { _ in }
    ) -> RequestTerms {
        var terms = RequestTerms(model: "m", input: 1_000, cached: 100, maxOutput: 200)
        change(&terms.preferences)
        return terms
    }

    static let pick = Pick(affinity: Affinity(key: Digest.sha256([1])))

    /// The reasons of a decision by provider.
    static func reasons(
        _ terms: RequestTerms, _ providers: [ProviderRecord], now: Int64 = now
    ) -> [String: String] {
        let decision = pick.decide(terms, among: providers, now: now)
        return Dictionary(
            uniqueKeysWithValues: providers.map { provider in
                (provider.name, decision.candidates.first { $0.offer == provider.digest }!.reason)
            })
    }
}
