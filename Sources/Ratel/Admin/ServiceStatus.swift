internal import Appraisal
internal import Bytes
internal import Loop
internal import RATLS
internal import Streams

/// The state that the admin listener shows, set from the main loop and read there too.
final class ServiceStatus: OperationStatus, Sendable {
    private struct State {
        var listening: String? = "not yet"
        var evidence: String? = "not yet"
        var upstream: String? = "not asked yet"
        var draining = false
    }

    private let state = Locked(State())
    private let gateway: Gateway
    private let channel: Channel
    private let policy: PolicyWatch
    private let upstreamName: String

    init(gateway: Gateway, channel: Channel, policy: PolicyWatch, upstreamName: String) {
        self.gateway = gateway
        self.channel = channel
        self.policy = policy
        self.upstreamName = upstreamName
    }

    func set(listening trouble: String?) { state.withLock { $0.listening = trouble } }
    func set(evidence trouble: String?) { state.withLock { $0.evidence = trouble } }
    func set(upstream trouble: String?) { state.withLock { $0.upstream = trouble } }
    func setDraining() { state.withLock { $0.draining = true } }

    var readiness: [(name: String, trouble: String?)] {
        state.withLock {
            [
                ("listening", $0.draining ? "draining" : $0.listening),
                ("evidence", $0.evidence),
                (upstreamName, $0.upstream),
            ]
        }
    }

    var exposition: String {
        var page = Exposition()
        page.gauge(
            "ratel_ready", "Whether /readyz answers 200.",
            readiness.allSatisfy { $0.trouble == nil } ? 1 : 0)
        page.addTraffic(of: gateway.metrics, upstream: gateway.metrics, log: channel.log)
        page.histogram(
            "ratel_quote_seconds", "Time that one quote took on this machine.",
            [channel.quotes.times])
        page.addAttestation(channel.quotes, [channel.identity.bindingKeys], channel.log)
        addAppraisals(to: &page)
        return page.text
    }

    private func addAppraisals(to page: inout Exposition) {
        let use = channel.appraisals.cache.use
        page.counter(
            "ratel_appraisal_cache_hits_total", "Appraisals whose result was at hand.", use.hits)
        page.counter(
            "ratel_appraisal_cache_misses_total", "Appraisals that were worked out.", use.misses)
        page.counter(
            "ratel_policy_reloads_total", "Times that the policy was replaced.",
            policy.counts.reloads)
        page.counter(
            "ratel_policy_reload_failures_total", "Times that a new policy could not be used.",
            policy.counts.failures)
        if let end = policy.firstEnd {
            page.gauge(
                "ratel_policy_tolerance_ends_seconds",
                "Until a tolerance of the policy ends, where one does within 14 days.", Int(end))
        }
        guard let store = channel.appraisals.store else { return }
        page.counters(
            "ratel_collateral_events_total", "What sources of collateral answered.",
            label: "event", store.counts.snapshot)
        if let expiry = store.firstExpiry {
            page.gauge(
                "ratel_collateral_expires_seconds", "Until the first collateral here expires.",
                Int(expiry))
        }
    }
}
