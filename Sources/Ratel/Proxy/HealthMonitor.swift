internal import Loop

/// Checks the backends of the plan in force, each in its own rhythm, on the main loop.
final class HealthMonitor {
    private let loop: EventLoop
    private var checkers: [ObjectIdentifier: HealthChecker] = [:]

    init(on loop: EventLoop) { self.loop = loop }

    func apply(_ plan: ProxyPlan) {
        let kept = Set(plan.backends.map { ObjectIdentifier($0) })
        for (key, checker) in checkers where !kept.contains(key) {
            checker.close()
            checkers[key] = nil
        }
        for backend in plan.backends where checkers[ObjectIdentifier(backend)] == nil {
            checkers[ObjectIdentifier(backend)] = HealthChecker(backend, on: loop)
        }
    }

    func close() {
        for checker in checkers.values { checker.close() }
        checkers = [:]
    }
}

/// Checks one backend again and again.
final class HealthChecker {
    private let backend: BackendState
    private let loop: EventLoop
    private var timer: LoopTimer?
    private var limit: LoopTimer?
    private var current: HealthLink?
    private var isResolving = false

    init(_ backend: BackendState, on loop: EventLoop) {
        self.backend = backend
        self.loop = loop
        let timer = LoopTimer(on: loop) { [unowned self] in self.begin() }
        timer.start(after: 0, every: backend.settings.health.interval)
        timer.detach()
        self.timer = timer
        let limit = LoopTimer(on: loop) { [unowned self] in
            self.end("no answer within \(self.backend.settings.health.timeout) ms")
        }
        limit.detach()
        self.limit = limit
    }

    func close() {
        timer?.close()
        timer = nil
        limit?.close()
        limit = nil
        current?.abandon()
        current = nil
    }

    private func begin() {
        guard current == nil, !isResolving else { return }
        guard case .ip(let host, let port) = backend.settings.address else {
            return connect(to: backend.settings.address)
        }
        isResolving = true
        Resolver.resolve(host: host, port: port, on: loop) { [weak self] found in
            guard let self, self.timer != nil else { return }
            self.isResolving = false
            switch found {
            case .success(let addresses): self.connect(to: addresses[0])
            case .failure(let error): self.backend.checked("\(host): \(error)")
            }
        }
    }

    private func connect(to address: Address) {
        let link = HealthLink(backend, on: loop, to: address) { [unowned self] trouble in
            self.end(trouble)
        }
        current = link
        limit?.start(after: backend.settings.health.timeout)
        link.start()
    }

    private func end(_ trouble: String?) {
        limit?.stop()
        current?.abandon()
        current = nil
        backend.checked(trouble)
    }
}
