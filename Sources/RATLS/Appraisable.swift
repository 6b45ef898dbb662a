public import Appraisal
public import RATS

/// Work on Evidence that may need collateral first: pure computation, too slow for an event loop.
public protocol Appraisable: Sendable {
    /// What comes of it.
    associatedtype Outcome: Sendable

    /// The collateral that it cannot be done without.
    func needs(roots: CollateralRoots) -> [CollateralNeed]
    /// What the peer sent along.
    var endorsements: [Endorsement] { get }
    /// Does it, with `endorsements` in place of what the peer sent where they are given.
    func run(endorsements: [Endorsement]?, cache: AppraisalCache?) -> Result<Outcome, Refusal>
}

extension AppraisalJob: Appraisable {}
