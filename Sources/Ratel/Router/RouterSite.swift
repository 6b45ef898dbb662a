internal import Ledger
internal import Logging
internal import Loop
internal import RATS
internal import Receipts
internal import Streams

/// What one worker of a router has: its connections to providers.
final class RouterSite {
    let loop: EventLoop
    let state: RouterState
    private let metrics: StreamMetrics
    private var pools: [ObjectIdentifier: UpstreamPool] = [:]
    /// A pool outlives its links.
    private var retired: [UpstreamPool] = []
    /// Bytes of bodies that are being collected or wait for the ledger.
    private var collecting = 0
    /// Of these, each account's.
    private var collectingOf: [String: Int] = [:]

    /// Bytes that the bodies of requests under way may take: 10,000 prompts of 6,000 tokens, the
    /// usual load's, at four bytes each.
    static let maxCollecting = 256 << 20
    /// Of these, what one account may have: three more like it leave room for others.
    static let maxOfAccount = maxCollecting / 4

    init(on loop: EventLoop, _ state: RouterState, metrics: StreamMetrics) {
        self.loop = loop
        self.state = state
        self.metrics = metrics
    }

    var market: Market { state.market }
    var book: RouterBook { state.book }

    /// Connections to a provider; nil where it is admitted no more.
    func pool(for provider: Provider) -> UpstreamPool? {
        let key = ObjectIdentifier(provider)
        if let pool = pools[key] { return pool }
        guard provider.now.admission != nil else { return nil }
        let pool = UpstreamPool(
            on: loop, target: provider.target(state.settings.gateway.budgets), metrics: metrics)
        pools[key] = pool
        return pool
    }

    func drop(_ provider: Provider) {
        guard let pool = pools.removeValue(forKey: ObjectIdentifier(provider)) else { return }
        pool.close()
        retired.removeAll(where: \.isEmpty)
        retired.append(pool)
    }

    func expireAdmissions(of provider: Provider, cutting failure: Failure?) {
        pools[ObjectIdentifier(provider)]?.expireAdmissions(cutting: failure)
    }

    func expireAdmissions(cutting failure: Failure?) {
        for pool in pools.values { pool.expireAdmissions(cutting: failure) }
    }

    func close() {
        for pool in pools.values { pool.close() }
        for pool in retired { pool.close() }
    }

    // MARK: Bodies

    /// Makes room for a body of so many bytes; false where too many are read already.
    func take(_ bytes: Int, of account: String) -> Bool {
        let own = collectingOf[account, default: 0]
        guard collecting + bytes <= RouterSite.maxCollecting,
            own + bytes <= RouterSite.maxOfAccount
        else { return false }
        collecting += bytes
        collectingOf[account] = own + bytes
        return true
    }

    func giveBack(_ bytes: Int, of account: String) {
        collecting -= bytes
        let left = collectingOf[account, default: 0] - bytes
        collectingOf[account] = left > 0 ? left : nil
    }

    // MARK: Bills

    /// A provider's offers are not what they were.
    func refresh(_ provider: Provider) { state.refresh(provider) }

    /// Has an ended request written.
    func settle(
        _ entry: Ledger.Entry, _ request: InferenceRequest, _ measured: MeasuredAnswer?,
        _ provider: String?
    ) {
        state.settle(entry, model: request.model, measured, provider)
    }

    func fetchFacts(
        of pending: Ledger.Pending, from chosen: Market.Chosen, _ measured: MeasuredAnswer,
        ticket: Market.Ticket? = nil
    ) {
        state.fetch(
            FactsQuestion(
                pending: pending, provider: chosen.provider, offer: chosen.statement,
                measured: measured, ticket: ticket))
    }
}

extension RouterState {
    /// Says that what a provider signed of a request is not billed.
    func refuseFacts(of receipt: String, _ provider: Provider, _ refusal: Refusal) {
        logger.warning(
            "facts of a provider are not billed",
            metadata: [
                "provider": "\(provider.name)", "receipt": "\(receipt)",
                "code": "\(refusal.code)", "expected": "\(refusal.expected)",
                "got": "\(refusal.got)",
            ])
    }

    /// Has an ended request written, and counts it.
    func settle(
        _ entry: Ledger.Entry, model: String, _ measured: MeasuredAnswer?, _ provider: String?
    ) {
        let receipt = entry.receipt
        switch receipt.end {
        case .complete: counts.served.addShared(1)
        case .cancelled: counts.cancelled.addShared(1)
        case .error: counts.failed.addShared(1)
        }
        counts.failovers.addShared(max(0, receipt.attempts.count - 1))
        counts.billed.addShared(Int(clamping: receipt.cost))
        counts.tokensIn.addShared(Int(receipt.usage.input))
        counts.tokensOut.addShared(Int(receipt.usage.output))
        counts.note(
            RouterCounts.Routed(
                id: receipt.id, time: receipt.time, model: model, provider: provider,
                attempts: receipt.attempts.count, end: receipt.end.rawValue, cost: receipt.cost,
                tokensIn: receipt.usage.input, tokensOut: receipt.usage.output,
                firstToken: measured?.first ?? 0))
        book.desk.finish(entry) { [logger] outcome in
            guard case .failure(let error) = outcome else { return }
            logger.error(
                "a receipt is not written yet",
                metadata: ["receipt": "\(receipt.id)", "why": "\(error)"])
        }
    }
}
