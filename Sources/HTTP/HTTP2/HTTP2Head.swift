internal import Bytes

/// A request's fields as they come in, and the head of HTTP/1.1 that they make (RFC 9113 section
/// 8.3).
struct HTTP2Head {
    private var method: [UInt8] = []
    private var path: [UInt8] = []
    private var authority: [UInt8] = []
    private var host: [UInt8]?
    private var cookie: [UInt8] = []
    private var lines: [UInt8] = []
    private var hasLength = false
    private var size = 0

    /// False when the list is longer than `limit`, counted as section 6.5.2 says.
    mutating func append(name: Span<UInt8>, value: Span<UInt8>, limit: Int) -> Bool {
        size += name.count + value.count + 32
        guard size <= limit else { return false }
        let bytes = Array(copying: value)
        switch String(decoding: Array(copying: name), as: UTF8.self) {
        case ":method": method = bytes
        case ":path": path = bytes
        case ":authority": authority = bytes
        case ":scheme", ":protocol": break
        case "host": host = bytes
        case "cookie":
            // Section 8.2.3: pieces are put together for those who speak HTTP/1.1.
            if !cookie.isEmpty { cookie += [0x3B, 0x20] }
            cookie += bytes
        case "te", "expect": break
        case "content-length":
            hasLength = true
            append(name, bytes)
        default: append(name, bytes)
        }
        return true
    }

    private mutating func append(_ name: Span<UInt8>, _ value: [UInt8]) {
        lines += Array(copying: name) + [0x3A, 0x20] + value + [0x0D, 0x0A]
    }

    /// The head, for the parser to judge: what is odd in it stays so.
    func http1(hasBody: Bool) -> [UInt8] {
        var head = method + [0x20] + (path.isEmpty ? authority : path)
        head += Array(" HTTP/1.1\r\n".utf8)
        // Section 8.3.1: where both are there they have to agree; the parser refuses two hosts.
        if !authority.isEmpty { head += Array("Host: ".utf8) + authority + [0x0D, 0x0A] }
        if let host, host != authority { head += Array("Host: ".utf8) + host + [0x0D, 0x0A] }
        if !cookie.isEmpty { head += Array("cookie: ".utf8) + cookie + [0x0D, 0x0A] }
        head += lines
        if hasBody, !hasLength { head += Array("Transfer-Encoding: chunked\r\n".utf8) }
        return head + [0x0D, 0x0A]
    }

    /// Whether the body's length is told, and the body so goes on as it is.
    var isSized: Bool { hasLength }
}
