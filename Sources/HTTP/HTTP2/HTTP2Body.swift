public import Bytes

/// The two bodies of one stream: what may be sent of one now and its bytes, and where the other's
/// bytes go.
///
/// A class to be overridden, so that asking it costs no reference count.
open class HTTP2Body {
    /// For subclasses.
    public init() {}

    /// How many bytes may be sent now, and whether the body ends with them.
    open func available() -> (count: Int, isLast: Bool) { (0, true) }
    /// Appends the next `count` bytes.
    open func take(_ count: Int, into output: inout Buffer) {}
    /// The field lines that follow the body, each with its line end; empty for none.
    open var trailers: [UInt8] { [] }
    /// Bytes of the peer's body came; they have to be told as used once they are.
    open func didReceive(_ bytes: Span<UInt8>) {}
}
