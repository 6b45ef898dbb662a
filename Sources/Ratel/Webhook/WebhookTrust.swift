internal import Bytes
internal import Keys
internal import Logging
internal import Loop
internal import TLS

/// Keeps the webhook's certificate fresh, and the API server's trust in it.
///
/// A certificate is presented only once it has been in the configuration for a while, so that no
/// call meets one that is not trusted yet; it stays there until it expires.
final class WebhookTrust: Sendable {
    private let api: KubernetesAPI
    private let path: String
    private let name: String
    private let lifetime: Int64
    private let logger: Logger
    private let state: Locked<State>

    private struct State {
        var current: WebhookCertificate
        var next: WebhookCertificate?
        /// When the next one was first seen in the configuration.
        var announced: Int64?
        var lastLook: Int64 = .min
        /// Whether the current one was in the configuration at the last look that succeeded.
        var isTrusted = false
        /// Why the last look did not succeed.
        var trouble: String?
        var failures = 0

        /// Whether something changes before the next look is due.
        var isWaiting: Bool { !isTrusted || next != nil }
    }

    /// Seconds between two looks: whoever writes over the configuration locks pods out for as long.
    private static let interval: Int64 = 10
    /// Seconds that API servers may take to hear of a change; they watch, and mostly need one.
    private static let propagation: Int64 = 30

    /// Presents a certificate for `name` and keeps it in the MutatingWebhookConfiguration
    /// `configuration`, with a new one at two thirds of `lifetime` seconds.
    init(
        _ api: KubernetesAPI, configuration: String, name: String, lifetime: Int64,
        logger: Logger
    ) throws(ConfigurationError) {
        self.api = api
        path =
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/\(configuration)"
        self.name = name
        self.lifetime = lifetime
        self.logger = logger
        let first = try WebhookCertificate.make(name: name, now: System.now, lifetime: lifetime)
        state = Locked(State(current: first))
    }

    /// What the listener presents.
    var context: TLSContext { state.withLock { $0.current.context } }
    /// Why the API server may not trust it; nil when it does. It goes on trusting when it cannot be
    /// asked for a while.
    var trouble: String? {
        let now = System.now
        return state.withLock { state in
            if state.current.certificate.notAfter < now { return state.trouble ?? "expired" }
            return state.isTrusted ? nil : state.trouble ?? "not in the configuration yet"
        }
    }
    /// The last second of the certificate that is presented.
    var expiry: Int64 { state.withLock { $0.current.certificate.notAfter } }
    /// How often the configuration could not be looked at or written.
    var failures: Int { state.withLock { $0.failures } }

    /// Does what is due; blocks for the network.
    func tick() {
        let now = System.now
        prepareNext(now)
        let isDue = state.withLock { state in
            guard now >= state.lastLook + WebhookTrust.interval || state.isWaiting else {
                return false
            }
            state.lastLook = now
            return true
        }
        guard isDue else { return }
        do throws(KubernetesAPI.Failure) {
            let found = try announce(now)
            state.withLock {
                $0.isTrusted = found.presented
                $0.trouble = nil
            }
            if found.all { present(now) }
        } catch {
            fail(error)
        }
    }

    private func prepareNext(_ now: Int64) {
        let isDue = state.withLock {
            $0.next == nil && now >= $0.current.certificate.notAfter - lifetime / 3
        }
        guard isDue else { return }
        do throws(ConfigurationError) {
            let next = try WebhookCertificate.make(name: name, now: now, lifetime: lifetime)
            state.withLock {
                $0.next = next
                $0.announced = nil
            }
        } catch {
            logger.error("no new certificate", metadata: ["why": "\(error)"])
        }
    }

    /// Has this side's certificates in every webhook of the configuration; answers whether the one
    /// that is presented was there already, and whether all were.
    private func announce(
        _ now: Int64
    ) throws(KubernetesAPI.Failure) -> (presented: Bool, all: Bool) {
        let (current, next) = state.withLock { ($0.current.certificate, $0.next?.certificate) }
        let own = [current, next].compactMap { $0 }
        let found = try api.get(path)
        guard let webhooks = found["webhooks"]?.items, !webhooks.isEmpty,
            let version = found["metadata"]?["resourceVersion"]
        else {
            throw KubernetesAPI.Failure(description: "\(path): it has no webhooks")
        }
        // Replicas write at the same time: the later one looks again.
        var operations: [JSONValue] = [
            .members([
                ("op", .string("test")), ("path", .string("/metadata/resourceVersion")),
                ("value", version),
            ])
        ]
        // A next one that is not there yet is no reason to take no questions.
        var isPresented = true
        for (index, webhook) in webhooks.enumerated() {
            let bundle = TrustBundle(base64: webhook["clientConfig"]?["caBundle"]?.text)
            isPresented = isPresented && bundle.contains(current)
            let wanted = bundle.keeping(own, now: now)
            guard wanted != bundle else { continue }
            operations.append(
                .members([
                    ("op", .string("add")),
                    ("path", .string("/webhooks/\(index)/clientConfig/caBundle")),
                    ("value", .string(wanted.base64)),
                ]))
        }
        guard operations.count > 1 else { return (isPresented, true) }
        _ = try api.patch(path, operations)
        logger.notice(
            "the configuration trusts this certificate",
            metadata: ["sha256": "\(Hex.encode(Digest.sha256(own.last?.der ?? [])))"])
        return (isPresented, false)
    }

    /// Presents the next certificate once it has been trusted for long enough.
    private func present(_ now: Int64) {
        let wait = min(WebhookTrust.propagation, lifetime / 6)
        let presented: Certificate? = state.withLock { state in
            guard let next = state.next else { return nil }
            guard let announced = state.announced else {
                state.announced = now
                return nil
            }
            guard now >= announced + wait else { return nil }
            state.current = next
            state.next = nil
            state.announced = nil
            return next.certificate
        }
        guard let presented else { return }
        logger.notice(
            "certificate replaced",
            metadata: ["sha256": "\(Hex.encode(Digest.sha256(presented.der)))"])
    }

    private func fail(_ failure: KubernetesAPI.Failure) {
        let isNew = state.withLock { state in
            defer { state.trouble = failure.description }
            if failure.isConflict { state.lastLook = .min }
            state.failures += 1
            return state.trouble != failure.description
        }
        guard isNew else { return }
        logger.warning(
            "the configuration cannot be kept", metadata: ["why": "\(failure)"])
    }
}
