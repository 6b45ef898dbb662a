internal import Synchronization

/// Whether somebody still waits for what was asked for; read from any thread.
public final class Presence: Sendable {
    private let hasEnded = Atomic<Bool>(false)

    /// Somebody waits.
    public init() {}

    /// Whether somebody still waits.
    public var isThere: Bool { !hasEnded.load(ordering: .relaxed) }

    /// Nobody waits any more.
    public func end() { hasEnded.store(true, ordering: .relaxed) }
}
