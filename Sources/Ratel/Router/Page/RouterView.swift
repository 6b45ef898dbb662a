internal import Keys
internal import Loop
internal import RATS
internal import Receipts

/// What a router shows of this moment, to its page and to `ratel top`: providers as they stand,
/// what they offer, and the last decisions.
struct RouterView {
    private let router: RouterState
    private let readiness: [(name: String, trouble: String?)]
    private let now = System.nowMilliseconds

    init(_ router: RouterState, _ readiness: [(name: String, trouble: String?)]) {
        self.router = router
        self.readiness = readiness
    }

    var json: JSONValue {
        let views = Dictionary(grouping: router.market.views(now: now)) {
            ObjectIdentifier($0.provider)
        }
        return .members([
            ("version", .string(RatelVersion.current)), ("time_ms", .integer(now)),
            (
                "readiness",
                .array(
                    readiness.map {
                        .members([
                            ("name", .string($0.name)),
                            ("trouble", $0.trouble.map { .string($0) } ?? .null),
                        ])
                    })
            ),
            ("totals", totals),
            (
                "providers",
                .array(
                    router.providers.map {
                        provider($0, views[ObjectIdentifier($0)] ?? [])
                    })
            ),
            ("decisions", .array(router.counts.decisions.reversed().map(decision))),
        ])
    }

    private var totals: JSONValue {
        let counts = router.counts
        return .members([
            ("complete", .integer(counts.served.now)),
            ("cancelled", .integer(counts.cancelled.now)), ("error", .integer(counts.failed.now)),
            ("failovers", .integer(counts.failovers.now)),
            ("billed_nusd", .integer(counts.billed.now)),
            ("tokens_in", .integer(counts.tokensIn.now)),
            ("tokens_out", .integer(counts.tokensOut.now)),
        ])
    }

    // MARK: Providers

    private func provider(_ provider: Provider, _ offers: [Market.View]) -> JSONValue {
        let now = provider.now
        let standing =
            now.admission != nil ? "admitted" : now.trouble != nil ? "refused" : "not asked yet"
        var members: [(String, JSONValue)] = [
            ("name", .string(provider.name)), ("address", .string("\(provider.address)")),
            ("standing", .string(standing)), ("asked_ms", .integer(now.lastAsked)),
        ]
        members += (now.admission?.members ?? []) + now.refused
        members.append(("offers", .array(offers.map(offer))))
        return .members(members)
    }

    private func offer(_ view: Market.View) -> JSONValue {
        let (record, offer) = (view.record, view.record.offer)
        let known = record.reputation
        func micros(_ mean: RunningMean) -> JSONValue {
            mean.count > 0 ? .integer(mean.value) : .null
        }
        return .members([
            ("model", .string(offer.model.id)),
            ("quantization", .string(offer.model.quantization)),
            ("region", .string(offer.region)),
            ("price_in_nusd", .integer(offer.price.input)),
            ("price_cached_nusd", .integer(offer.price.cached)),
            ("price_out_nusd", .integer(offer.price.output)),
            ("min_charge_nusd", .integer(offer.price.minimum)),
            ("first_token_us", micros(known.first)), ("token_gap_us", micros(known.gap)),
            ("success_ppm", .integer(known.served * 1_000_000 / Decision.Measures.unit)),
            ("facts", .integer(known.facts)), ("streams", .integer(record.openStreams)),
            ("max_streams", .integer(offer.streams)),
            ("tokens_minute", .integer(record.tokensInUse)),
            ("max_tokens_minute", .integer(offer.tokensPerMinute)),
            ("state", .string(state(record))),
        ])
    }

    /// Why nothing goes there now, the first that holds, or `open`.
    private func state(_ record: ProviderRecord) -> String {
        if record.attestation == nil { return "not admitted" }
        if !record.offer.isOpen { return "withdrawn" }
        if record.offer.notAfter < now / 1_000 { return "expired" }
        if !record.breaker.allows(now: now) { return "failing" }
        return record.isHealthy ? "open" : "full"
    }

    // MARK: Decisions

    private func decision(_ routed: RouterCounts.Routed) -> JSONValue {
        .members([
            ("id", .string(routed.id)), ("time_ms", .integer(routed.time)),
            ("model", .string(routed.model)),
            ("provider", routed.provider.map { .string($0) } ?? .null),
            ("attempts", .integer(routed.attempts)), ("end", .string(routed.end)),
            ("cost_nusd", .integer(routed.cost)), ("tokens_in", .integer(routed.tokensIn)),
            ("tokens_out", .integer(routed.tokensOut)),
            ("first_token_us", routed.firstToken > 0 ? .integer(routed.firstToken) : .null),
        ])
    }
}
