internal import Appraisal
internal import Bytes
internal import Logging

extension EndorsementStore {
    /// Refreshes what has used two thirds of its time, drops what is over, and warns of what will
    /// be; call it about once a minute.
    func tick() {
        let now = settings.now()
        var due: [CollateralNeed] = []
        var ending: [(CollateralNeed, Int64, String?)] = []
        state.withLock { table in
            for (need, entry) in table.entries {
                guard let item = entry.item else { continue }
                if now >= item.until {
                    table.entries[need]?.item = nil
                    table.entries[need]?.isFromFolder = false
                    continue
                }
                if now >= entry.refreshAt { due.append(need) }
                let left = item.until - now
                if left < EndorsementStore.warningTime, now >= entry.refreshAt,
                    now >= entry.warnAgain
                {
                    table.entries[need]?.warnAgain = now + 3_600
                    ending.append((need, left, entry.trouble))
                }
            }
        }
        for (need, left, trouble) in ending {
            logger.error(
                "collateral expires and could not be refreshed; peers will be refused then",
                metadata: [
                    "item": "\(need)", "in_seconds": "\(left)", "why": "\(trouble ?? "not tried")",
                ])
        }
        for need in due where preferred(need) == nil { _ = join(need, {}) }
    }

    /// Seconds until the first item expires; nil when there is none.
    var firstExpiry: Int64? {
        let now = settings.now()
        return state.withLock { $0.entries.values.compactMap(\.item).map { $0.until - now }.min() }
    }

    /// Every item for people, by name.
    var listing: [(item: CheckedCollateral, source: String)] {
        state.withLock { table in
            table.entries.values.compactMap { entry in entry.item.map { ($0, entry.source) } }
        }.sorted { $0.item.need.fileName < $1.item.need.fileName }
    }

    /// What the cache has files for, and what is in memory.
    var known: [CollateralNeed] {
        let kept = settings.cache?.needs ?? []
        let held = state.withLock { Array($0.entries.keys) }
        return kept + held.filter { !kept.contains($0) }
    }

    /// Why the last fetch of `need` failed.
    func trouble(_ need: CollateralNeed) -> String? {
        state.withLock { $0.entries[need]?.trouble }
    }
}
