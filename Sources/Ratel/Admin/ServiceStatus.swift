internal import Appraisal
internal import Bytes
internal import Loop
internal import RATLS
internal import Streams

/// The state that the admin listener shows, set from the main loop and read there too.
final class ServiceStatus: StatusSource, Sendable {
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
        let log = channel.log
        let all = gateway.metrics
        func sum(_ pick: (StreamMetrics) -> Int) -> Int { all.reduce(0) { $0 + pick($1) } }
        var page = Exposition()
        page.gauge(
            "ratel_ready", "Whether /readyz answers 200.",
            readiness.allSatisfy { $0.trouble == nil } ? 1 : 0)
        page.counter(
            "ratel_connections_total", "Connections accepted.", sum { $0.accepted.now })
        page.gauge(
            "ratel_connections", "Connections open now.", sum { $0.openConnections.now })
        page.counter(
            "ratel_handshakes_total", "TLS handshakes completed, on either side.",
            log.handshakes.now)
        page.counter(
            "ratel_admitted_total", "Peers admitted, on either side.", log.admissions.now)
        page.counters(
            "ratel_refusals_total", "Refusals and failures by code.", label: "code",
            log.refusals.snapshot)
        page.counter("ratel_requests_total", "Request heads read.", sum { $0.requests.now })
        page.gauge("ratel_streams", "Requests under way now.", sum { $0.openStreams.now })
        page.counter(
            "ratel_request_body_bytes_total", "Bytes of request bodies passed on.",
            sum { $0.requestBytes.now })
        page.counter(
            "ratel_response_body_bytes_total", "Bytes of response bodies passed on.",
            sum { $0.responseBytes.now })
        page.counter(
            "ratel_response_writes_total", "Pieces of response bodies passed on.",
            sum { $0.responseReads.now })
        page.counter(
            "ratel_client_aborts_total", "Callers that left before their answer was complete.",
            sum { $0.clientAborts.now })
        page.counter(
            "ratel_loop_waits_total", "Times that workers waited for events.",
            sum { $0.traffic.waits.now })
        page.counter(
            "ratel_loop_rests_total", "Times that workers rested so that tokens came together.",
            sum { $0.traffic.rests.now })
        page.counter(
            "ratel_socket_reads_total", "Reads of sockets that brought something.",
            sum { $0.traffic.reads.now })
        page.counter(
            "ratel_socket_writes_total", "Writes to sockets.", sum { $0.traffic.writes.now })
        page.counter(
            "ratel_tls_records_total", "TLS records sent.", sum { $0.traffic.records.now })
        page.counter(
            "ratel_tls_record_bytes_total", "Bytes that TLS records carried.",
            sum { $0.traffic.recordBytes.now })
        page.counter(
            "ratel_upstream_connections_total", "Connections made to the upstream.",
            sum { $0.upstreamConnects.now })
        page.counter(
            "ratel_upstream_reuses_total", "Requests sent over a kept connection.",
            sum { $0.upstreamReuses.now })
        page.counter(
            "ratel_upstream_failures_total", "Upstream connections that failed in use.",
            sum { $0.upstreamFailures.now })
        page.histogram(
            "ratel_first_byte_seconds", "From a request's head to its answer's first byte.",
            all.map(\.firstByte))
        page.histogram(
            "ratel_quote_seconds", "Time that one quote took on this machine.",
            [channel.quotes.times])
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
