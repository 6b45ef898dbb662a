internal import Appraisal
internal import Bytes

/// What the store knows, under its lock.
struct CollateralTable: Sendable {
    /// What is known of one need.
    struct Entry: Sendable {
        /// The newest good collateral; may have expired since.
        var item: CheckedCollateral?
        var source = ""
        var isFromFolder = false
        /// Unix time from which it is fetched again.
        var refreshAt: Int64 = 0
        /// Unix time from which a coming expiry is told again.
        var warnAgain: Int64 = 0
        /// Whether a fetch runs, and who waits for it.
        var isInFlight = false
        var waiters: [@Sendable () -> Void] = []
        /// Failures in a row, the last one's reason, and the uptime from which to ask again.
        var failures = 0
        var trouble: String?
        var askAgain: UInt64 = 0
        /// Uptime from which the folder is looked at again.
        var folderAgain: UInt64 = 0
    }

    var entries: [CollateralNeed: Entry] = [:]
    /// The highest evaluation number of each kind ever seen.
    var evaluations: [String: Int]

    init(evaluations: [String: Int]) { self.evaluations = evaluations }

    /// Forgets one entry when there are too many: first one that holds nothing.
    mutating func makeRoom() {
        guard entries.count >= EndorsementStore.maximumEntries else { return }
        let idle = entries.filter { !$0.value.isInFlight }
        let victim = idle.first { $0.value.item == nil } ?? idle.first
        if let victim { entries[victim.key] = nil }
    }
}

/// How often which source answered what.
final class CollateralCounts: Sendable {
    private let counts = Locked<[String: Int]>([:])

    func count(source: String, _ outcome: String) {
        // Host names of settings and codes: a handful of each.
        let kind = String(source.prefix { $0 != " " })
        counts.withLock { $0["\(kind) \(outcome)", default: 0] += 1 }
    }

    var snapshot: [(String, Int)] {
        counts.withLock { $0.sorted { $0.key < $1.key } }
    }
}
