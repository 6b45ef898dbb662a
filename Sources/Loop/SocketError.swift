internal import CUV

/// Why an operation on a socket failed: a libuv error (negative errno) with its name.
public struct SocketError: Error, Equatable, Sendable, CustomStringConvertible {
    /// libuv's code, a negative errno.
    public let code: Int32

    /// Wraps libuv's code.
    public init(code: Int32) {
        self.code = code
    }

    /// libuv's own name and text, for example `ECONNREFUSED: connection refused`.
    public var description: String {
        unsafe String(cString: uv_err_name(code)) + ": " + String(cString: uv_strerror(code))
    }

    /// The peer's side is gone: reset, broken pipe or end of file.
    public var isDisconnect: Bool {
        code == UV_ECONNRESET.rawValue || code == UV_EPIPE.rawValue || code == UV_EOF.rawValue
    }

    /// A budget of time ran out.
    public static let timedOut = SocketError(code: UV_ETIMEDOUT.rawValue)
    /// The peer closed its side before it was expected to.
    public static let ended = SocketError(code: UV_EOF.rawValue)
    /// The operation was given up by this side.
    public static let canceled = SocketError(code: UV_ECANCELED.rawValue)
    /// An address that libuv cannot take, for example a socket path that is too long.
    public static let invalid = SocketError(code: UV_EINVAL.rawValue)
    /// The name has no address.
    public static let nameNotFound = SocketError(code: UV_EAI_NONAME.rawValue)
}

@inline(__always)
func check(_ code: Int32) throws(SocketError) {
    if code < 0 { throw SocketError(code: code) }
}
