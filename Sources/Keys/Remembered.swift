internal import Bytes

/// Values worked out lately, by bytes that fully determine them: a pure function's results.
///
/// It holds at most `capacity` of them and forgets any one for the next. Only what does not depend
/// on the time belongs here, or what carries the time for which it holds.
public final class Remembered<Value: Sendable>: Sendable {
    private let capacity: Int
    private let kept = Locked<[[UInt8]: Value]>([:])

    /// Holds up to `capacity` values.
    public init(capacity: Int) { self.capacity = capacity }

    /// The value for `key`, where it is remembered.
    public func value(_ key: [UInt8]) -> Value? { kept.withLock { $0[key] } }

    /// Keeps `value` for `key`.
    public func keep(_ value: Value, for key: [UInt8]) {
        kept.withLock { kept in
            if kept.count >= capacity, let victim = kept.keys.first { kept[victim] = nil }
            kept[key] = value
        }
    }

    /// Forgets everything.
    public func clear() { kept.withLock { $0.removeAll() } }
}

/// All that verification remembers, for who wants to know what it costs without.
public enum VerificationMemory {
    private static let clearings = Locked<[@Sendable () -> Void]>([])

    /// Forgets everything that was registered.
    public static func clear() {
        for clear in clearings.withLock({ $0 }) { clear() }
    }

    /// A memory that `clear` empties.
    public static func memory<Value: Sendable>(capacity: Int) -> Remembered<Value> {
        let made = Remembered<Value>(capacity: capacity)
        clearings.withLock { $0.append { made.clear() } }
        return made
    }
}
