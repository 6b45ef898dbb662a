internal import Synchronization

/// A number that one loop changes, or several threads by `addShared`, and any thread reads.
public struct Counter: ~Copyable, Sendable {
    private let value = Atomic<Int>(0)

    /// Starts at zero.
    public init() {}

    /// Adds `amount`, which may be negative where the number is a gauge.
    ///
    /// On its loop's thread alone, so that no locked instruction is needed.
    @inline(__always)
    public func add(_ amount: Int) {
        value.store(value.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    /// Adds `amount` to a number that several threads change.
    public func addShared(_ amount: Int) {
        value.wrappingAdd(amount, ordering: .relaxed)
    }

    /// Adds one to a number that several threads change, unless it is `limit` already; answers
    /// whether it did.
    public func take(below limit: Int) -> Bool {
        if value.wrappingAdd(1, ordering: .relaxed).oldValue < limit { return true }
        value.wrappingSubtract(1, ordering: .relaxed)
        return false
    }

    /// The number now.
    public var now: Int { value.load(ordering: .relaxed) }
}
