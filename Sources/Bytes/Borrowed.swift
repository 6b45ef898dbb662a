/// A reference that neither keeps its object alive nor counts: for a pair of objects on one loop of
/// which one is known to outlive the other.
///
/// Who makes one says in a comment why the object outlives it. Calls through `with` cost no
/// retain and no release, which is why the data path uses it.
@safe @frozen
public struct Borrowed<Object: AnyObject> {
    @usableFromInline let reference: Unmanaged<Object>

    /// Borrows `object`.
    @inlinable
    public init(_ object: Object) {
        unsafe reference = .passUnretained(object)
    }

    /// The object, counted; for paths that are not hot.
    @inlinable
    public var object: Object { unsafe reference.takeUnretainedValue() }

    /// Calls `body` with the object, uncounted, handing it a value that cannot be copied.
    @inlinable @inline(__always)
    public func with<Value: ~Copyable>(
        _ value: consuming Value, _ body: (Object, consuming Value) -> Void
    ) {
        var slot: Value? = consume value
        unsafe reference._withUnsafeGuaranteedRef { object in
            if let value = slot.take() { body(object, value) }
        }
    }

    /// Calls `body` with the object, uncounted.
    @inlinable @inline(__always)
    public func with<Result>(_ body: (Object) -> Result) -> Result {
        unsafe reference._withUnsafeGuaranteedRef(body)
    }
}
