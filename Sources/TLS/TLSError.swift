internal import COpenSSL

/// Why TLS ended: OpenSSL's reason in words, never key material.
public struct TLSError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What OpenSSL said, for example `tlsv13 alert certificate required`.
    public let description: String

    /// Wraps a reason.
    public init(_ description: String) {
        self.description = description
    }

    /// Takes the oldest reason off this thread's queue, and empties the queue.
    static func fromQueue(_ fallback: String) -> TLSError {
        let code = ERR_peek_error()
        defer { ERR_clear_error() }
        guard code != 0, let reason = unsafe ERR_reason_error_string(code) else {
            return TLSError(fallback)
        }
        return TLSError(unsafe String(cString: reason))
    }
}
