internal import Appraisal
internal import Bytes

/// The leases of one side's peers, by origin; shared by every loop, and asked once a connection.
///
/// The cache key of protocol.md, "Leases", is (policy digest, origin, role, binding key): one book
/// is of one role, and each lease holds the other two.
public final class LeaseBook: Sendable {
    /// Leases of one origin: as many keys as a challenge can list.
    public static let perOrigin = ChallengeBody.maxKnownKeys
    /// Origins: a lease with its claims takes some 4 KiB, so that all take up to 16 MiB of one key
    /// each.
    public static let capacity = 4_096

    private struct State {
        var leases: [[UInt8]: [Lease]] = [:]
        var generation: UInt64 = 0
    }

    private let state = Locked(State())

    /// An empty book.
    public init() {}

    /// How many origins are in it.
    public var count: Int { state.withLock { $0.leases.count } }

    /// How often everything was forgotten: a result that was begun before the last time must not
    /// come back.
    public var generation: UInt64 { state.withLock { $0.generation } }

    /// Those of `origin` under the policy with this digest that hold for `least` milliseconds more,
    /// newest first.
    public func leases(
        of origin: [UInt8], policyDigest: [UInt8], at moment: Moment, least: UInt64 = 1
    ) -> [Lease] {
        state.withLock { state in
            guard let all = state.leases[origin] else { return [] }
            let good = all.filter { $0.holds(at: moment) }
            if good.count < all.count { state.leases[origin] = good.isEmpty ? nil : good }
            return good.filter {
                $0.result.policyDigest == policyDigest && $0.holds(at: moment, least: least)
            }
        }
    }

    /// Remembers `lease` in front of the others of `origin`, in place of an older one of its key,
    /// unless everything was forgotten since `generation`.
    public func keep(_ lease: Lease, of origin: [UInt8], since generation: UInt64) {
        guard lease.result.maxAge > 0 else { return }
        state.withLock { state in
            guard state.generation == generation else { return }
            if state.leases[origin] == nil, state.leases.count >= LeaseBook.capacity {
                let oldest = state.leases.min { LeaseBook.age($0.value) < LeaseBook.age($1.value) }
                if let oldest { state.leases[oldest.key] = nil }
            }
            var all = state.leases[origin] ?? []
            // An answer to an older challenge must not bring an older result back.
            if let known = all.first(where: { $0.keyHash == lease.keyHash }),
                known.result.policyDigest == lease.result.policyDigest,
                known.askedAt > lease.askedAt
            {
                return
            }
            all.removeAll { $0.keyHash == lease.keyHash }
            all.insert(lease, at: 0)
            state.leases[origin] = Array(all.prefix(LeaseBook.perOrigin))
        }
    }

    private static func age(_ leases: [Lease]) -> UInt64 { leases.first?.askedAt ?? 0 }

    /// Forgets everything: what was appraised before counts no more.
    public func removeAll() {
        state.withLock {
            $0.leases = [:]
            $0.generation += 1
        }
    }
}
