internal import Loop

/// A URL of `https`, or of `http` on this machine, as far as a fetch needs it (RFC 3986).
struct WebAddress: Sendable, Equatable, CustomStringConvertible {
    let isSecure: Bool
    let host: String
    let port: UInt16
    /// Path and query, beginning with a slash.
    let path: String

    /// Reads a URL; nil when it is none, or has user information or a fragment.
    init?(_ text: String) {
        let scheme: Bool
        let rest: Substring
        if text.hasPrefix("https://") {
            (scheme, rest) = (true, text.dropFirst(8))
        } else if text.hasPrefix("http://") {
            (scheme, rest) = (false, text.dropFirst(7))
        } else {
            return nil
        }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        var authority = String(rest[..<end])
        var path = String(rest[end...])
        if !path.hasPrefix("/") { path = "/" + path }
        guard !authority.contains("@"),
            path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") })
        else { return nil }
        var port: UInt16 = scheme ? 443 : 80
        if let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]") {
            guard let number = UInt16(authority[authority.index(after: colon)...]), number > 0
            else { return nil }
            port = number
            authority = String(authority[..<colon])
        }
        if authority.hasPrefix("["), authority.hasSuffix("]") {
            authority = String(authority.dropFirst().dropLast())
        }
        // RFC 1035 section 2.3.4: 253 characters of a name.
        let isHost = authority.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: ":"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        guard isHost, (1...253).contains(authority.utf8.count) else { return nil }
        isSecure = scheme
        host = authority
        self.port = port
        self.path = path
    }

    private init(isSecure: Bool, host: String, port: UInt16, path: String) {
        self.isSecure = isSecure
        self.host = host
        self.port = port
        self.path = path
    }

    /// The same server with `path` behind this address's own path.
    func appending(_ path: String) -> WebAddress {
        let base = self.path.hasSuffix("/") ? String(self.path.dropLast()) : self.path
        return WebAddress(isSecure: isSecure, host: host, port: port, path: base + path)
    }

    var address: Address { .ip(host: host, port: port) }

    /// The value of a Host field, RFC 9110 section 7.2.
    var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
    }

    var description: String { "\(isSecure ? "https" : "http")://\(authority)\(path)" }
}
