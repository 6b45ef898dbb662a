internal import CUV

/// Where a socket listens or connects: a numeric IP address and port, or a Unix socket's path.
@safe
public enum Address: Sendable, Equatable, CustomStringConvertible {
    case ip(host: String, port: UInt16)
    case unix(path: String)

    /// `127.0.0.1:80`, `[::1]:80` or `unix:/path`.
    public var description: String {
        switch self {
        case .ip(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// Whether it names this machine only.
    public var isLoopback: Bool {
        switch self {
        case .ip(let host, _): host.hasPrefix("127.") || host == "::1" || host == "localhost"
        case .unix: true
        }
    }

    /// Whether the host is written as an IPv4 or IPv6 address.
    public var isNumeric: Bool {
        guard case .ip = self else { return true }
        return unsafe withSocketAddress { _, _ in true } ?? false
    }

    /// The bytes of a numeric address in network order, 4 or 16, with its port; nil for others.
    public var octets: (bytes: [UInt8], port: UInt16)? {
        guard case .ip(_, let port) = self else { return nil }
        let bytes: [UInt8]?? = unsafe withSocketAddress { raw, _ in
            switch unsafe Int32(raw.pointee.sa_family) {
            case AF_INET:
                let four = unsafe UnsafeRawPointer(raw).assumingMemoryBound(to: sockaddr_in.self)
                return unsafe withUnsafeBytes(of: four.pointee.sin_addr) { unsafe Array($0) }
            case AF_INET6:
                let six = unsafe UnsafeRawPointer(raw).assumingMemoryBound(to: sockaddr_in6.self)
                return unsafe withUnsafeBytes(of: six.pointee.sin6_addr) { unsafe Array($0) }
            default: return nil
            }
        }
        guard case .some(.some(let found)) = bytes else { return nil }
        return (found, port)
    }

    /// What tells one host from another when they are counted: an IPv4 address, or the first 64
    /// bits of an IPv6 address, since a host has all that follow (RFC 4291 section 2.5.4). Others
    /// are counted as one.
    public var host: [UInt8] {
        guard let (bytes, _) = octets else { return [] }
        // RFC 4291 section 2.5.5.2: IPv4 in the clothes of IPv6.
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        if bytes.count == 16, Array(bytes[..<12]) == mapped { return Array(bytes[12...]) }
        return Array(bytes.prefix(8))
    }

    /// The address that 4 or 16 bytes in network order are; nil for other counts.
    public init?(octets: [UInt8], port: UInt16) {
        switch octets.count {
        case 4:
            self = .ip(host: octets.map { String($0) }.joined(separator: "."), port: port)
        case 16:
            var six = sockaddr_in6()
            six.sin6_family = sa_family_t(AF_INET6)
            six.sin6_port = port.bigEndian
            unsafe withUnsafeMutableBytes(of: &six.sin6_addr) { unsafe $0.copyBytes(from: octets) }
            let made = unsafe withUnsafePointer(to: &six) {
                unsafe Address(UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self))
            }
            guard let made else { return nil }
            self = made
        default: return nil
        }
    }

    /// Calls `body` with the address as C sees it; nil when the host is a name, not an address.
    func withSocketAddress<Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result? {
        guard case .ip(let host, let port) = self else { return nil }
        var four = sockaddr_in()
        if unsafe uv_ip4_addr(host, Int32(port), &four) == 0 {
            return unsafe withUnsafePointer(to: &four) {
                unsafe body(
                    UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
                    socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        var six = sockaddr_in6()
        if unsafe uv_ip6_addr(host, Int32(port), &six) == 0 {
            return unsafe withUnsafePointer(to: &six) {
                unsafe body(
                    UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
                    socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
        return nil
    }

    /// Whether something accepts connections there now; blocks, and is for numeric addresses.
    public var accepts: Bool {
        unsafe withSocketAddress { raw, length in
            let family = unsafe Int32(raw.pointee.sa_family)
            let descriptor = socket(family, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { return false }
            defer { _ = CUV.close(descriptor) }
            return unsafe CUV.connect(descriptor, raw, length) == 0
        } ?? false
    }

    /// Reads an address that C gave.
    init?(_ pointer: UnsafePointer<sockaddr>) {
        // 46: the longest text of an IPv6 address with its end, INET6_ADDRSTRLEN.
        var text = [CChar](repeating: 0, count: 46)
        let port: UInt16
        switch unsafe Int32(pointer.pointee.sa_family) {
        case AF_INET:
            let four = unsafe UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr_in.self)
            guard unsafe uv_ip4_name(four, &text, text.count) == 0 else { return nil }
            port = unsafe UInt16(bigEndian: four.pointee.sin_port)
        case AF_INET6:
            let six = unsafe UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr_in6.self)
            guard unsafe uv_ip6_name(six, &text, text.count) == 0 else { return nil }
            port = unsafe UInt16(bigEndian: six.pointee.sin6_port)
        default:
            return nil
        }
        let end = text.firstIndex(of: 0) ?? text.count
        self = .ip(host: String(decoding: text[..<end].map(UInt8.init), as: UTF8.self), port: port)
    }
}
