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

    /// Fetches for chips that nobody has vouched for, and uptime from which one more is earned.
    private var chipFetches = CollateralTable.maximumChipFetches
    private var earnedAt: UInt64 = 0

    /// A fleet's start in one go; AMD's service answers about one a second and no more.
    static let maximumChipFetches = 32

    /// Whether a vendor may be asked now. A report of AMD's names its chip, and one of NVIDIA's its
    /// versions, before they can be checked: whoever connects could have any number asked for.
    mutating func mayAsk(for need: CollateralNeed, _ uptime: UInt64) -> Bool {
        switch need {
        case .vcek, .manifest: break
        case .dcap, .amd, .status: return true
        }
        let earned = Int(min((uptime - min(uptime, earnedAt)) / 1_000_000_000, 1_000))
        if earned > 0 {
            chipFetches = min(CollateralTable.maximumChipFetches, chipFetches + earned)
            earnedAt = uptime
        }
        guard chipFetches > 0 else { return false }
        chipFetches -= 1
        return true
    }

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
