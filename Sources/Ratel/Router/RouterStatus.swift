internal import Bytes
internal import HTTP
internal import Keys
internal import Loop
internal import RATLS
internal import Receipts
internal import Streams

/// What a router shows on its admin listener.
final class RouterStatus: OperationStatus, Sendable {
    private struct State {
        var listening: String? = "not yet"
        var evidence: String? = "not yet"
        var draining = false
    }

    private let state = Locked(State())
    private let router: RouterState
    private let gateway: Gateway

    init(_ router: RouterState, gateway: Gateway) {
        self.router = router
        self.gateway = gateway
    }

    func set(listening trouble: String?) { state.withLock { $0.listening = trouble } }
    func set(evidence trouble: String?) { state.withLock { $0.evidence = trouble } }
    func setDraining() { state.withLock { $0.draining = true } }

    var readiness: [(name: String, trouble: String?)] {
        let now = state.withLock { $0 }
        let providers = router.providers
        let isServed = providers.contains { $0.now.admission != nil }
        let isSeeded = router.book.seed(at: System.nowMilliseconds) != nil
        return [
            ("listening", now.draining ? "draining" : now.listening),
            ("evidence", now.evidence),
            ("ledger", isSeeded ? nil : "it gave no seed yet"),
            ("providers", isServed ? nil : "none is admitted"),
        ]
    }

    var report: String? {
        var text = ""
        for provider in router.providers {
            let now = provider.now
            let standing =
                now.admission.map { "admitted as \($0.peer), session \($0.session)" }
                ?? now.trouble.map { "refused, \($0)" } ?? "not asked yet"
            text += "provider \(provider.name) \(provider.address): \(standing)\n"
        }
        return text
    }

    func page(_ head: RequestHead, on loop: EventLoop) -> AdminPage? {
        RouterPage(router, readiness).page(head, on: loop)
    }

    var exposition: String {
        var page = Exposition()
        page.gauge(
            "ratel_ready", "Whether /readyz answers 200.",
            readiness.allSatisfy { $0.trouble == nil } ? 1 : 0)
        page.addTraffic(of: gateway.metrics, upstream: gateway.metrics, log: router.log)
        page.addAttestation(
            router.front.quotes, [router.front.identity.bindingKeys], router.log)
        addBills(to: &page)
        addProviders(to: &page)
        return page.text
    }

    private func addBills(to page: inout Exposition) {
        let counts = router.counts
        page.counters(
            "ratel_router_requests_total", "Requests by how they ended.", label: "end",
            [
                ("complete", counts.served.now), ("cancelled", counts.cancelled.now),
                ("error", counts.failed.now),
            ])
        page.counter(
            "ratel_router_failovers_total", "Providers that were asked beyond the first.",
            counts.failovers.now)
        page.counter(
            "ratel_router_billed_nusd_total", "Nano-dollars billed.", counts.billed.now)
        page.counter(
            "ratel_router_input_tokens_total", "Tokens of prompts, as signed.",
            counts.tokensIn.now)
        page.counter(
            "ratel_router_output_tokens_total", "Tokens of answers, as signed.",
            counts.tokensOut.now)
    }

    private func addProviders(to page: inout Exposition) {
        page.gauges(
            "ratel_provider_admitted", "Whether its Evidence holds.", label: "provider",
            router.providers.map { ($0.name, $0.now.admission != nil ? 1 : 0) })
        let views = router.market.views(now: System.nowMilliseconds)
        func each(_ pick: (Market.View) -> Int64) -> [(provider: String, model: String, Int)] {
            views.map { ($0.record.name, $0.record.offer.model.id, Int(pick($0))) }
        }
        page.offers(
            "ratel_provider_streams", "Requests under way there.",
            each { $0.record.openStreams })
        page.offers(
            "ratel_provider_price_in_nusd", "Nano-dollars for a million tokens of prompts.",
            each { $0.record.offer.price.input })
        page.offers(
            "ratel_provider_price_out_nusd", "Nano-dollars for a million tokens of answers.",
            each { $0.record.offer.price.output })
        page.offers(
            "ratel_provider_first_token_microseconds", "Mean time to the first token.",
            each { $0.record.reputation.firstToken })
        page.offers(
            "ratel_provider_token_gap_microseconds", "Mean time between two tokens.",
            each { $0.record.reputation.tokenGap })
        page.offers(
            "ratel_provider_success_ppm", "Millionths of its requests that it served.",
            each { $0.record.reputation.served * 1_000_000 / Decision.Measures.unit })
        page.offers(
            "ratel_provider_facts", "Requests that this is known from.",
            each { $0.record.reputation.facts })
    }
}

extension Exposition {
    /// A gauge for each provider's offer of each model.
    fileprivate mutating func offers(
        _ name: String, _ help: String, _ values: [(provider: String, model: String, Int)]
    ) {
        add("# HELP \(name) \(help)\n# TYPE \(name) gauge\n")
        for (provider, model, value) in values {
            let labels =
                "provider=\(Failure.quoted(provider)),model=\(Failure.quoted(model))"
            add("\(name){\(labels)} \(value)\n")
        }
    }
}

extension Reputation {
    /// What pages show of it.
    var firstToken: Int64 { first.value }
    var tokenGap: Int64 { gap.value }
    var served: Int64 { reliability }
}
