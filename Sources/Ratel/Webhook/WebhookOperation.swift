internal import Bytes
internal import Logging
internal import Loop
internal import Streams

/// The webhook as the runtime keeps it going: one listener, a template and a certificate.
final class WebhookOperation: Operation {
    let status: any OperationStatus
    let channels: [Channel] = []
    private let gateway: Gateway
    private let workers: WorkerGroup
    private let webhook: WebhookState

    init(_ settings: GatewaySettings, webhook: WebhookState) {
        self.webhook = webhook
        workers = WorkerGroup(
            count: settings.workers, buffers: settings.buffersPerWorker, gather: settings.gather)
        let gateway = Gateway(at: settings.listen, on: workers) {
            (member, address, metrics) throws(SocketError) in
            try StreamListener(
                on: member.loop.value, address: address,
                service: WebhookService(webhook, metrics: metrics),
                maximumConnections: settings.maximumConnections)
        }
        self.gateway = gateway
        status = WebhookStatus(webhook, gateway: gateway)
    }

    var addresses: [(name: String, address: Address)] { [("address", gateway.address)] }

    var connectionChanges: Int { gateway.connectionChanges }

    func start(on loop: EventLoop) throws(ConfigurationError) { try gateway.startAlone() }

    func check(isAsked: Bool) {
        webhook.check(isAsked: isAsked)
        webhook.trust.tick()
    }

    func drain(then done: @escaping @Sendable () -> Void) {
        gateway.drain(refusing: .draining, then: done)
    }

    func expireAdmissions(cutting failure: Failure?) {}
    func close() {}

    func stop() {
        gateway.stop()
        workers.stop()
    }
}

/// What the admin listener shows of the webhook.
private final class WebhookStatus: OperationStatus, Sendable {
    private struct State {
        var listening: String? = "not yet"
        var draining = false
    }

    private let state = Locked(State())
    private let webhook: WebhookState
    private let gateway: Gateway

    init(_ webhook: WebhookState, gateway: Gateway) {
        self.webhook = webhook
        self.gateway = gateway
    }

    func set(listening trouble: String?) { state.withLock { $0.listening = trouble } }
    func set(evidence trouble: String?) {}
    func setDraining() { state.withLock { $0.draining = true } }

    var readiness: [(name: String, trouble: String?)] {
        let now = state.withLock { $0 }
        return [
            ("listening", now.draining ? "draining" : now.listening),
            ("certificate", webhook.trust.trouble),
        ]
    }

    var exposition: String {
        var page = Exposition()
        page.gauge(
            "ratel_ready", "Whether /readyz answers 200.",
            readiness.allSatisfy { $0.trouble == nil } ? 1 : 0)
        page.counters(
            "ratel_webhook_reviews_total", "Questions of the API server, by what came of them.",
            label: "outcome", webhook.outcomes.snapshot)
        page.gauge(
            "ratel_webhook_certificate_expires_seconds",
            "Until the certificate that is presented expires.",
            Int(webhook.trust.expiry - System.now))
        page.counter(
            "ratel_webhook_trust_failures_total",
            "Times that the configuration could not be looked at or written.",
            webhook.trust.failures)
        page.addTraffic(of: gateway.metrics, upstream: [], log: webhook.log)
        return page.text
    }
}
