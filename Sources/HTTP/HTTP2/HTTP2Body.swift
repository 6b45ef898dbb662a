public import Bytes

/// The body of one answer as it comes to be: what may be sent of it now, and the bytes.
///
/// A class to be overridden, so that asking it costs no reference count.
open class HTTP2Body {
    /// For subclasses.
    public init() {}

    /// How many bytes may be sent now, and whether the answer ends with them.
    open func available() -> (count: Int, isLast: Bool) { (0, true) }
    /// Appends the next `count` bytes.
    open func take(_ count: Int, into output: inout Buffer) {}
}
