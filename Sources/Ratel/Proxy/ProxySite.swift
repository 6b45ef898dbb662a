internal import Loop
internal import Streams

/// What one worker of a proxy has: the plan in force, and its connections to the backends.
final class ProxySite {
    let loop: EventLoop
    private(set) var plan: ProxyPlan
    /// By the backend's state.
    private var pools: [ObjectIdentifier: UpstreamPool] = [:]
    /// Those of backends that are gone: a pool outlives its links.
    private var retired: [UpstreamPool] = []
    /// Requests whose body is read for its model at this moment.
    private var inspections = 0
    private let maximumInspections: Int

    /// `memory` is what inspected bodies may take together, in bytes.
    init(on loop: EventLoop, plan: ProxyPlan, memory: Int) {
        self.loop = loop
        self.plan = plan
        maximumInspections = max(1, memory / ModelInspection.limit)
    }

    func pool(for backend: BackendState) -> UpstreamPool {
        let key = ObjectIdentifier(backend)
        if let pool = pools[key] { return pool }
        let pool = UpstreamPool(
            on: loop, target: backend.target(), metrics: backend.makeMetrics(loop))
        pools[key] = pool
        return pool
    }

    /// Puts `plan` in force for what begins from now on.
    func apply(_ plan: ProxyPlan) {
        let kept = Set(plan.backends.map { ObjectIdentifier($0) })
        for (key, pool) in pools where !kept.contains(key) {
            pool.close()
            pools[key] = nil
            retired.append(pool)
        }
        retired.removeAll(where: \.isEmpty)
        self.plan = plan
    }

    /// Ends the admissions of the links to a backend.
    func expireAdmissions(of backend: BackendState, cutting failure: Failure?) {
        pools[ObjectIdentifier(backend)]?.expireAdmissions(cutting: failure)
    }

    /// False when too many are under way.
    func beginInspection() -> Bool {
        guard inspections < maximumInspections else { return false }
        inspections += 1
        return true
    }

    func endInspection() { inspections -= 1 }

    /// Gives up the idle links.
    func close() {
        for pool in pools.values { pool.close() }
        for pool in retired { pool.close() }
    }
}

/// How much of a body is read for its model.
enum ModelInspection {
    /// Bytes. OpenAI's SDK writes `messages` before `model`, so a prompt is read over first: 256
    /// KiB are 64,000 tokens of four bytes, ten times the usual prompt of 6,000.
    static let limit = 256 << 10
}
