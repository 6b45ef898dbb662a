/// Carries a value that belongs to one loop across threads; only the loop's own jobs may open it.
@safe
public struct LoopBound<Value>: @unchecked Sendable {
    /// The value; touch it on its own loop only.
    public let value: Value

    /// Wraps a value that will be touched on its own loop only.
    public init(_ value: Value) {
        self.value = value
    }
}
