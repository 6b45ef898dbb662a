internal import RATS

/// A tolerance of a policy that ends soon, or has ended: peers that need it will be refused.
public struct EndingTolerance: Sendable, Equatable, CustomStringConvertible {
    /// The peer and section, such as `node: tdx`.
    public let place: String
    /// The status that is tolerated, for which advisories.
    public let status: TCBStatus
    /// The advisories.
    public let advisories: [String]
    /// Unix time at which it ends.
    public let until: Int64
    /// Whole days until then; negative when it has passed.
    public let days: Int64

    /// One line.
    public var description: String {
        let names = advisories.joined(separator: ", ")
        let when = days < 0 ? "ended" : days == 0 ? "ends today" : "ends in \(days) days"
        return "\(place): tolerance of \(status.rawValue) (\(names)) \(when), "
            + "at \(UTCTime.text(until))"
    }
}

extension AppraisalPolicy {
    /// Days before its end from which a tolerance is warned of: two weeks to update a fleet.
    public static let warningDays: Int64 = 14

    /// The tolerances that have ended at the Unix time `now`, or will within `warningDays`.
    public func endingTolerances(at now: Int64) -> [EndingTolerance] {
        guard case .appraised(let peers) = peers else { return [] }
        var ending: [EndingTolerance] = []
        for peer in peers {
            let sections =
                peer.everyTDX.map { ("tdx", Optional($0.tcb)) } + [("sgx", peer.sgx?.tcb)]
            for (name, tcb) in sections {
                for item in tcb?.tolerate ?? [] {
                    let left = item.until - now
                    guard left < AppraisalPolicy.warningDays * 86_400 else { continue }
                    ending.append(
                        EndingTolerance(
                            place: "\(peer.name): \(name)", status: item.status,
                            advisories: item.advisories, until: item.until,
                            days: left < 0 ? -1 : left / 86_400))
                }
            }
        }
        return ending.sorted { $0.until < $1.until }
    }
}
