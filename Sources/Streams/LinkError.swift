public import Loop
public import TLS

/// Why a link ended before its time.
public enum LinkError: Error, Sendable, CustomStringConvertible {
    case socket(SocketError)
    case tls(TLSError)
    /// The TCP connection ended without TLS's close_notify: bytes may be missing (RFC 8446
    /// section 6.1).
    case truncated
    /// What came before the first application byte took too long, or was refused.
    case refused(Failure)

    public var description: String {
        switch self {
        case .socket(let error): error.description
        case .tls(let error): "TLS: \(error)"
        case .truncated: "the connection ended without close_notify"
        case .refused(let failure): failure.description
        }
    }
}
