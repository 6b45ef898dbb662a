internal import Appraisal
internal import Bytes
internal import Keys
internal import Logging
internal import Loop
internal import RATS
internal import Streams

/// What vendors say about platforms, at hand before Evidence asks for it.
///
/// In order of preference: a folder, what the peer stapled, the cache, the services of the vendors.
/// Everything is checked before it is kept and again when it is used; nothing expired is ever
/// given out; a fetch runs once however many wait for it, off every event loop.
final class EndorsementStore: Sendable {
    struct Settings: Sendable {
        /// Sources that are asked for what is not here, best first.
        var sources: [any CollateralSource]
        /// Preferred over what peers staple; nil where there is none.
        var folder: FolderSource?
        /// Nil keeps everything in memory alone.
        var cache: CollateralCache?
        /// Roots that collateral may be signed under, at first.
        var roots = CollateralRoots()
        var now: @Sendable () -> Int64 = { System.now }
        var uptime: @Sendable () -> UInt64 = { System.uptime }
    }

    /// Milliseconds that one fetch with all its requests may take: with the exchange's other steps
    /// it stays within the 10 s of the exchange.
    static let fetchBudget: UInt64 = 6_000
    /// Needs that are kept: 2 KiB for each chip of a fleet, 30 KiB for each kind of platform.
    static let maximumEntries = 4_096
    /// Fetches that may wait: at 6 s each, two at a time, a peer waits no longer than its exchange
    /// for the first three; what waits longer is there for the next connection.
    static let maximumFetches = 64
    /// Expiry is told from this many seconds before: a working day to mend the network.
    static let warningTime: Int64 = 24 * 3_600

    let settings: Settings
    let counts = CollateralCounts()
    let logger: Logger
    let state: Locked<CollateralTable>
    private let trusted: Locked<CollateralRoots>
    private let onChange = Locked<(@Sendable () -> Void)?>(nil)
    // Two, so that one dead service does not stop the others.
    private let threads = [
        JobThread(capacity: EndorsementStore.maximumFetches),
        JobThread(capacity: EndorsementStore.maximumFetches),
    ]

    init(_ settings: Settings, logger: Logger) throws(ConfigurationError) {
        self.settings = settings
        self.logger = logger
        trusted = Locked(settings.roots)
        state = Locked(
            CollateralTable(evaluations: try settings.cache?.readEvaluations() ?? [:]))
    }

    /// Roots that collateral may be signed under; a new policy may name others.
    var roots: CollateralRoots {
        get { trusted.withLock { $0 } }
        set { trusted.withLock { $0 = newValue } }
    }

    /// Has `forget` called when collateral is replaced by other or newer one, for results that rest
    /// on what was there before.
    func whenReplaced(_ forget: @escaping @Sendable () -> Void) {
        onChange.withLock { $0 = forget }
    }

    // MARK: Giving out

    /// What is at hand for `needs` now, and what has to be fetched first.
    struct Stock: Sendable {
        /// To appraise with, the stapled ones that are good included.
        var endorsements: [Endorsement]
        /// Asked of the sources if the caller can wait.
        var missing: [CollateralNeed]
        /// What is known of why something is missing.
        var trouble: [String]
        /// What stands among the endorsements as checked now.
        var items: [CheckedCollateral] = []
    }

    /// Looks at the folder, what the peer stapled, and the cache; blocks for disk and signatures.
    func stock(_ needs: [CollateralNeed], stapled: [Endorsement]) -> Stock {
        // Endorsements that no need asks for (certificates of a TPM, manifests) pass as they are.
        var stock = Stock(endorsements: stapled, missing: [], trouble: [])
        var open = needs
        while !open.isEmpty {
            let need = open.removeFirst()
            var signed: CheckedCollateral?
            func good() -> CheckedCollateral? {
                signed = checked(stapled, need)
                return signed.flatMap { raise($0, from: "the peer") ? $0 : nil }
            }
            if let item = preferred(need) ?? good() ?? kept(need) {
                stock.take(item)
                open += item.further
            } else {
                // What is only bad stays, so that the appraisal says why; what is good but older
                // than before must not be used, and only this store knows that it is.
                if signed != nil { stock.drop(need) }
                stock.missing.append(need)
                if let trouble = state.withLock({ $0.entries[need]?.trouble }) {
                    stock.trouble.append(trouble)
                }
            }
        }
        return stock
    }

    func preferred(_ need: CollateralNeed) -> CheckedCollateral? {
        guard let folder = settings.folder else { return nil }
        let now = settings.now()
        let known = state.withLock { $0.entries[need] }
        if let known, known.isFromFolder, let item = known.item, now < item.refreshAt {
            return item
        }
        // A folder without it is not read again for each connection.
        if let known, !known.isFromFolder, settings.uptime() < known.folderAgain { return nil }
        do {
            let raw = try folder.read(need, roots: roots, now: settings.now())
            return try accept(need, raw, from: folder.name, isFolder: true)
        } catch {
            state.withLock {
                // 60 s: a bundle that somebody copies in is seen within a minute.
                $0.entries[need, default: .init()].folderAgain = settings.uptime() + 60_000_000_000
            }
            return nil
        }
    }

    private func checked(_ stapled: [Endorsement], _ need: CollateralNeed) -> CheckedCollateral? {
        guard !stapled.isEmpty else { return nil }
        return try? CheckedCollateral(need, stapled, roots: roots, now: settings.now())
    }

    private func kept(_ need: CollateralNeed) -> CheckedCollateral? {
        let now = settings.now()
        if let item = state.withLock({ $0.entries[need]?.item }) {
            return now < item.until ? item : nil
        }
        guard let (raw, source) = settings.cache?.read(need) else { return nil }
        counts.count(source: "cache", "read")
        return try? accept(need, raw, from: source, isFolder: false, isKept: true)
    }

    // MARK: Fetching

    /// Fetches `needs`, each once however many wait, and calls `completion` on some thread; at once
    /// for what nobody can be asked for now.
    func obtain(_ needs: [CollateralNeed], then completion: @escaping @Sendable () -> Void) {
        let rest = Locked(needs.count)
        for need in needs {
            let arrived: @Sendable () -> Void = {
                let isLast = rest.withLock { rest in
                    rest -= 1
                    return rest == 0
                }
                if isLast { completion() }
            }
            if !join(need, arrived) { arrived() }
        }
        if needs.isEmpty { completion() }
    }

    /// Waits for a fetch that runs, or starts one; false when nobody is to be asked now.
    func join(
        _ need: CollateralNeed, _ arrived: @escaping @Sendable () -> Void
    ) -> Bool {
        guard settings.sources.contains(where: { $0.serves(need) }) else { return false }
        let uptime = settings.uptime()
        enum Turn { case waits, starts, refused }
        let turn = state.withLock { table -> Turn in
            table.makeRoom()
            var entry = table.entries[need] ?? .init()
            defer { table.entries[need] = entry }
            if entry.isInFlight {
                entry.waiters.append(arrived)
                return .waits
            }
            guard uptime >= entry.askAgain, table.mayAsk(for: need, uptime) else {
                return .refused
            }
            entry.isInFlight = true
            entry.waiters = [arrived]
            return .starts
        }
        switch turn {
        case .waits: return true
        case .refused: return false
        case .starts:
            let thread = threads[abs(need.hashValue % threads.count)]
            guard thread.submit({ [self] in fetch(need) }) else {
                land(need, trouble: "too many fetches wait", retryAfter: 1)
                return true
            }
            return true
        }
    }

    private func fetch(_ need: CollateralNeed) {
        let deadline = settings.uptime() + EndorsementStore.fetchBudget * 1_000_000
        var troubles: [String] = []
        var retryAfter: UInt64?
        for source in settings.sources where source.serves(need) {
            do throws(CollateralFailure) {
                let raw = try source.fetch(need, deadline: deadline)
                do throws(Refusal) {
                    _ = try accept(need, raw, from: source.name, isFolder: false)
                    counts.count(source: source.name, "fetched")
                    logger.info(
                        "collateral", metadata: ["item": "\(need)", "source": "\(source.name)"])
                    return land(need, trouble: nil)
                } catch {
                    counts.count(source: source.name, error.code)
                    troubles.append("\(source.name): \(error)")
                }
            } catch {
                counts.count(source: source.name, "failed")
                troubles.append(error.text)
                retryAfter = max(retryAfter ?? 0, error.retryAfter ?? 0)
            }
        }
        land(need, trouble: troubles.joined(separator: "; "), retryAfter: retryAfter)
    }

    /// Ends a flight: everyone who waits goes on, and after a failure nobody asks for a while.
    private func land(_ need: CollateralNeed, trouble: String?, retryAfter: UInt64? = nil) {
        let (waiters, wait) = state.withLock { table in
            var entry = table.entries[need] ?? .init()
            defer { table.entries[need] = entry }
            let waiters = entry.waiters
            entry.waiters = []
            entry.isInFlight = false
            entry.trouble = trouble
            guard trouble != nil else {
                entry.failures = 0
                entry.askAgain = 0
                return (waiters, UInt64(0))
            }
            entry.failures += 1
            let wait = EndorsementStore.backOff(entry.failures, retryAfter: retryAfter)
            entry.askAgain = settings.uptime() + wait * 1_000_000
            return (waiters, wait)
        }
        if let trouble {
            logger.warning(
                "no collateral",
                metadata: [
                    "item": "\(need)", "why": "\(Refusal.printable(trouble))",
                    "again_in_ms": "\(wait)",
                ])
        }
        for waiter in waiters { waiter() }
    }

    /// Milliseconds until the next attempt: 1 s doubled to 10 min, or what the service asked for up
    /// to an hour, plus up to half of it by chance, so that a fleet does not return at once.
    static func backOff(_ failures: Int, retryAfter: UInt64?) -> UInt64 {
        let own = min(UInt64(1_000) << UInt64(min(failures - 1, 20)), 600_000)
        let base = max(own, min(retryAfter ?? 0, 3_600) * 1_000)
        return base + UInt64.random(in: 0...base / 2)
    }

    // MARK: Keeping

    private func accept(
        _ need: CollateralNeed, _ raw: RawCollateral, from source: String, isFolder: Bool,
        isKept: Bool = false
    ) throws(Refusal) -> CheckedCollateral {
        let now = settings.now()
        let item = try CheckedCollateral(
            need, raw.endorsements, pckIssuers: raw.pckIssuers, roots: roots, now: now)
        guard raise(item, from: source) else {
            counts.count(source: isFolder ? "folder" : source, "rollback")
            throw Refusal(
                "collateral.rollback", .evidence, field: "tcbEvaluationDataNumber",
                expected: "at least the highest seen",
                got: item.evaluations.map { "\($0.key): \($0.value)" }.sorted()
                    .joined(separator: ", "),
                remedy: "the source serves older collateral than before; use another")
        }
        let isOther = state.withLock { table in
            table.makeRoom()
            var entry = table.entries[need] ?? .init()
            let isOther = entry.item.map { $0.endorsements != item.endorsements } ?? false
            entry.item = item
            entry.source = source
            entry.isFromFolder = isFolder
            // Up to a tenth later, so that a fleet does not ask at once.
            entry.refreshAt = item.refreshAt + Int64.random(in: 0...(item.until - item.from) / 10)
            table.entries[need] = entry
            return isOther
        }
        if isOther { onChange.withLock { $0 }?() }
        if !isKept, !isFolder, let cache = settings.cache,
            !cache.write(item, source: source, now: now)
        {
            logger.error(
                "the collateral cache cannot be written", metadata: ["path": "\(cache.path)"])
        }
        return item
    }

    /// Notes the evaluation numbers; false when one is below the highest seen.
    private func raise(_ item: CheckedCollateral, from source: String) -> Bool {
        let (isGood, raised) = state.withLock { table -> (Bool, [String: Int]?) in
            let isOlder = item.evaluations.contains { $0.value < table.evaluations[$0.key] ?? 0 }
            if isOlder { return (false, nil) }
            let isNewer = item.evaluations.contains { $0.value > table.evaluations[$0.key] ?? 0 }
            guard isNewer else { return (true, nil) }
            table.evaluations.merge(item.evaluations) { max($0, $1) }
            return (true, table.evaluations)
        }
        if raised != nil { onChange.withLock { $0 }?() }
        if !isGood {
            logger.warning(
                "collateral is older than what was seen before",
                metadata: ["item": "\(item.need)", "source": "\(source)"])
        }
        if let raised, let cache = settings.cache, !cache.writeEvaluations(raised) {
            logger.error("evaluation numbers cannot be kept", metadata: ["path": "\(cache.path)"])
        }
        return isGood
    }
}

extension EndorsementStore.Stock {
    /// Puts a checked item in the place of whatever the peer sent for the same purpose.
    fileprivate mutating func take(_ item: CheckedCollateral) {
        drop(item.need)
        endorsements += item.endorsements
        items.append(item)
    }

    /// Takes out what would stand in the way; certificates may be for other Evidence and stay.
    fileprivate mutating func drop(_ need: CollateralNeed) {
        switch need {
        case .dcap: endorsements.removeAll { $0.mediaType == DCAPCollateral.mediaType }
        case .amd: endorsements.removeAll { $0.mediaType == Endorsement.revocationListType }
        case .vcek, .manifest, .status: break
        }
    }
}
