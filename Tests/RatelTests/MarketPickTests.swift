import Keys
import Receipts
import Testing

@testable import Ratel

/// Filters, measures, and the order in which providers are asked.
struct MarketPickTests {
    typealias Fixture = MarketFixture

    /// The reason that one provider is left out for, beside one that is not.
    private func reason(
        _ terms: RequestTerms = Fixture.terms(), now: Int64 = Fixture.now,
        _ change: (inout ProviderRecord) -> Void
    ) -> String {
        let providers = [Fixture.provider("x", change), Fixture.provider("other")]
        return Fixture.reasons(terms, providers, now: now)["x"]!
    }

    @Test func whatIsLeftOutSaysWhy() {
        typealias Terms = MarketFixture
        #expect(reason { _ in } == "band")
        #expect(reason(Terms.terms { $0.only = ["other"] }) { _ in } == "only")
        #expect(reason(Terms.terms { $0.ignore = ["x"] }) { _ in } == "ignore")
        let bound = Terms.terms { ($0.order, $0.allowsFallbacks) = (["other"], false) }
        #expect(reason(bound) { _ in } == "order")
        #expect(reason { $0.attestation = nil } == "attestation")
        #expect(reason { $0.attestation?.admittedUntil = Fixture.now } == "attestation")
        #expect(reason(Terms.terms { $0.attestation.sessions = ["s-y"] }) { _ in } == "session")
        #expect(
            reason(Terms.terms { $0.attestation.claims = ["tdx", "gpu"] }) { _ in } == "claims")
        #expect(reason(Terms.terms { $0.attestation.maxAge = 29 }) { _ in } == "age")
        #expect(reason(Terms.terms { $0.attestation.maxAge = 30 }) { _ in } == "band")
        let ahead: (inout ProviderRecord) -> Void = { $0.attestation?.appraised = Fixture.now + 1 }
        #expect(reason(Terms.terms { $0.attestation.maxAge = 30 }, ahead) == "age")
        #expect(reason { $0.offer.notAfter = Fixture.now / 1_000 - 1 } == "expired")
        #expect(reason { $0.offer.notBefore = Fixture.now / 1_000 + 1 } == "expired")
        #expect(reason { $0.offer.streams = 0 } == "withdrawn")
        #expect(reason(Terms.terms { $0.quantizations = ["bf16"] }) { _ in } == "quantization")
        #expect(reason(Terms.terms { $0.regions = ["us"] }) { _ in } == "region")
        let kept: (inout ProviderRecord) -> Void = { $0.offer.retention = "30 days" }
        #expect(reason(Terms.terms { $0.deniesRetention = true }, kept) == "retention")
        #expect(reason(Terms.terms(), kept) == "band")
        #expect(reason(Terms.terms { $0.maxPrice.input = 99_999_999 }) { _ in } == "price")
        #expect(reason(Terms.terms { $0.maxPrice.output = 399_999_999 }) { _ in } == "price")
        let minimum: (inout ProviderRecord) -> Void = { $0.offer.price.minimum = 5 }
        #expect(reason(Terms.terms { $0.maxPrice.request = 4 }, minimum) == "price")
        #expect(reason { $0.context = 1_199 } == "context")
        #expect(reason { $0.context = 1_200 } == "band")
        var tools = Terms.terms { $0.requiresParameters = true }
        tools.parameters = ["tools", "logprobs"]
        #expect(reason(tools) { _ in } == "parameters")
        #expect(reason { $0.openStreams = 10 } == "capacity")
        #expect(reason { $0.tokensInUse = 999_000 } == "capacity")
        #expect(reason { $0.isHealthy = false } == "health")
        let open: (inout ProviderRecord) -> Void = { provider in
            for _ in 0..<5 {
                let ticket = provider.breaker.begin(now: Fixture.now)
                provider.breaker.end(ticket, .failed, now: Fixture.now)
            }
        }
        #expect(reason(Terms.terms(), open) == "breaker")
        #expect(reason(Terms.terms(), now: Fixture.now + 1_000, open) == "band")
    }

    @Test func newAndDearAndDoubtfulProvidersAreExplored() {
        let doubtful = MarketFixture.answer(counts: .impossible(.bytes, limit: 1, got: 2))
        let reasons = Fixture.reasons(
            Fixture.terms(),
            [
                Fixture.provider("best"), Fixture.provider("near", price: 120_000_000),
                Fixture.provider("dear", price: 130_000_000),
                Fixture.provider("new", price: 1, facts: 31),
                Fixture.provider("liar") { provider in
                    for _ in 0..<7 { provider.reputation.served(doubtful) }
                },
                Fixture.provider("inflated") { $0.inflation = 80_000 },
            ])
        #expect(
            reasons == [
                "best": "band", "near": "band", "dear": "exploration", "new": "new",
                "liar": "counts", "inflated": "counts",
            ])
    }

    @Test func anAuditorGetsTheSameWeights() throws {
        let providers = (0..<40).map { index in
            Fixture.provider("p\(index)", price: 50_000_000 + Int64(index) * 3_000_000) {
                $0.openStreams = Int64(index % 11)
                if index % 7 == 0 { $0.reputation.failed() }
            }
        }
        var terms = Fixture.terms()
        terms.prefix = [7]
        let decision = Fixture.pick.decide(terms, among: providers, now: Fixture.now)
        let read = try Decision(
            request: decision.json["request"], candidates: decision.json["candidates"], at: "d")
        #expect(read == decision)
        #expect(Decision(read.request, weighing: read.candidates) == decision)
        #expect(decision.candidates.contains { $0.reason == "affinity" })
    }

    @Test func sortsAndOrdersLeaveNothingToChance() {
        let providers = [
            Fixture.provider("cheap", price: 50_000_000) { provider in
                for _ in 0..<99 {
                    provider.reputation.served(Fixture.answer(first: 800_000, gap: 30_000))
                }
            },
            Fixture.provider("fast", price: 90_000_000) { provider in
                for _ in 0..<99 {
                    provider.reputation.served(Fixture.answer(first: 600_000, gap: 5_000))
                }
            },
            Fixture.provider("near", price: 99_000_000) { provider in
                for _ in 0..<99 {
                    provider.reputation.served(Fixture.answer(first: 100_000, gap: 9_000))
                }
            },
        ]
        func asked(_ change: (inout ProviderPreferences) -> Void) -> [String] {
            let terms = Fixture.terms(change)
            var attempts = Attempts(
                Fixture.pick.decide(terms, among: providers, now: Fixture.now), receipt: "r",
                seed: Digest.sha256([1]), limit: terms.attemptLimit)
            var names: [String] = []
            while let next = attempts.next() {
                names.append(providers.first { $0.digest == next }!.name)
            }
            return names
        }
        #expect(asked { $0.sort = .price } == ["cheap", "fast", "near"])
        #expect(asked { $0.sort = .throughput } == ["fast", "near", "cheap"])
        #expect(asked { $0.sort = .latency } == ["near", "fast", "cheap"])
        #expect(
            asked { ($0.sort, $0.maxLatency) = (.price, 650_000) } == ["fast", "near", "cheap"])
        #expect(asked { $0.order = ["near", "cheap"] } == ["near", "cheap", "fast"])
        #expect(
            asked { ($0.order, $0.allowsFallbacks) = (["near", "cheap"], false) }
                == ["near", "cheap"])
        #expect(asked { $0.allowsFallbacks = false }.count == 1)
        #expect(Set(asked { _ in }) == ["cheap", "fast", "near"])
    }

    @Test func promptsThatBeginAlikeStayTogetherUnderABoundOfLoad() {
        var providers = (0..<8).map { Fixture.provider("p\($0)") }
        func place(_ prefix: UInt8) -> String {
            var terms = Fixture.terms()
            terms.prefix = [prefix]
            return Fixture.reasons(terms, providers).first { $0.value == "affinity" }!.key
        }
        let before = (0..<100).map { place(UInt8($0)) }
        #expect(before == (0..<100).map { place(UInt8($0)) })
        #expect(Set(before).count == 8)
        // Another router's key places them otherwise.
        let other = Affinity(key: Digest.sha256([2]))
        let places = providers.map {
            Affinity.Place(name: $0.name, openStreams: 0, streams: 10)
        }
        let moved = (0..<100).filter { index in
            providers[other.preferred([UInt8(index)], among: places)!].name != before[index]
        }
        #expect(moved.count > 60)
        // What has more than 5/4 of its share gets no more, and only its prompts move.
        let full = before[0]
        let index = providers.firstIndex { $0.name == full }!
        providers[index].openStreams = 2
        let after = (0..<100).map { place(UInt8($0)) }
        for (old, new) in zip(before, after) { #expect(old == full ? new != full : new == old) }
    }

    @Test func oneOfAnyLoadHasRoom() {
        let affinity = Affinity(key: Digest.sha256([1]))
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            let places = (0..<Int.random(in: 1...9, using: &random)).map { index in
                Affinity.Place(
                    name: "\(index)", openStreams: .random(in: 0...50, using: &random),
                    streams: .random(in: 1...50, using: &random))
            }
            #expect(affinity.preferred([1], among: places) != nil)
        }
    }
}
