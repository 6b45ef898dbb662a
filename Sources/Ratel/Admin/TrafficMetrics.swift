internal import Loop
internal import RATLS
internal import Streams

extension Exposition {
    /// What every use counts of its connections and requests; `upstream` counts those of its pools.
    mutating func addTraffic(
        of all: [StreamMetrics], upstream: [StreamMetrics], log: ChannelLog
    ) {
        counter(
            "ratel_connections_total", "Connections accepted.", all.sum { $0.accepted.now })
        gauge(
            "ratel_connections", "Connections open now.", all.sum { $0.openConnections.now })
        counter(
            "ratel_handshakes_total", "TLS handshakes completed, on either side.",
            log.handshakes.now)
        counter(
            "ratel_admitted_total", "Peers admitted, on either side.", log.admissions.now)
        counters(
            "ratel_refusals_total", "Refusals and failures by code.", label: "code",
            log.refusals.snapshot)
        counter("ratel_requests_total", "Request heads read.", all.sum { $0.requests.now })
        gauge("ratel_streams", "Requests under way now.", all.sum { $0.openStreams.now })
        counter(
            "ratel_request_body_bytes_total", "Bytes of request bodies passed on.",
            all.sum { $0.requestBytes.now })
        counter(
            "ratel_response_body_bytes_total", "Bytes of response bodies passed on.",
            all.sum { $0.responseBytes.now })
        counter(
            "ratel_response_writes_total", "Pieces of response bodies passed on.",
            all.sum { $0.responseReads.now })
        counter(
            "ratel_client_aborts_total", "Callers that left before their answer was complete.",
            all.sum { $0.clientAborts.now })
        addLoops(all.map(\.traffic))
        counter(
            "ratel_upstream_connections_total", "Connections made to the upstream.",
            upstream.sum { $0.upstreamConnects.now })
        counter(
            "ratel_upstream_reuses_total", "Requests sent over a kept connection.",
            upstream.sum { $0.upstreamReuses.now })
        counter(
            "ratel_upstream_failures_total", "Upstream connections that failed in use.",
            all.sum { $0.upstreamFailures.now })
        histogram(
            "ratel_first_byte_seconds", "From a request's head to its answer's first byte.",
            all.map(\.firstByte))
    }

    /// What attesting and being attested to costs, beside the time of quotes.
    mutating func addAttestation(_ quotes: QuoteQueue, _ keys: [BindingKeys], _ log: ChannelLog) {
        counter("ratel_quotes_total", "Quotes that were taken.", quotes.quotes.now)
        counter(
            "ratel_quoted_connections_total", "Challenges that those quotes answered.",
            quotes.served.now)
        gauge("ratel_challenges_waiting", "Challenges that wait for a quote.", quotes.waiting)
        counter(
            "ratel_leases_signed_total", "Challenges that were answered with a lease.",
            keys.reduce(0) { $0 + $1.leasesSigned })
        counter(
            "ratel_leases_accepted_total", "Admissions and renewals that rested on a lease.",
            log.leases.now)
        counter(
            "ratel_renewals_total", "Peers of open connections that were admitted anew.",
            log.renewals.now)
    }

    /// Listeners on one loop share what it counts.
    private mutating func addLoops(_ traffic: [LoopTraffic]) {
        var loops: [LoopTraffic] = []
        for loop in traffic where !loops.contains(where: { $0 === loop }) { loops.append(loop) }
        func sum(_ pick: (LoopTraffic) -> Int) -> Int { loops.reduce(0) { $0 + pick($1) } }
        counter(
            "ratel_loop_waits_total", "Times that workers waited for events.",
            sum { $0.waits.now })
        counter(
            "ratel_loop_rests_total", "Times that workers rested so that tokens came together.",
            sum { $0.rests.now })
        counter(
            "ratel_socket_reads_total", "Reads of sockets that brought something.",
            sum { $0.reads.now })
        counter("ratel_socket_writes_total", "Writes to sockets.", sum { $0.writes.now })
        counter("ratel_tls_records_total", "TLS records sent.", sum { $0.records.now })
        counter(
            "ratel_tls_record_bytes_total", "Bytes that TLS records carried.",
            sum { $0.recordBytes.now })
    }
}
