internal import Bytes

/// The fields of one header block as they come in, and the head or the trailer section of HTTP/1.1
/// that they make (RFC 9113 section 8.3), for the parser to judge: what is odd in it stays so.
public struct HTTP2Head: Sendable {
    private var method: [UInt8] = []
    private var path: [UInt8] = []
    private var authority: [UInt8] = []
    private var status: [UInt8] = []
    private var host: [UInt8]?
    private var cookie: [UInt8] = []
    private var lines: [UInt8] = []
    private var hasLength = false
    private var hasPseudo = false
    private var size = 0

    /// Whether the list is longer than it may be; what came beyond that was dropped.
    public private(set) var isTooLarge = false

    /// Takes a field, where the list, counted as section 6.5.2 says, stays within `limit` bytes.
    mutating func append(name: Span<UInt8>, value: Span<UInt8>, limit: Int) {
        size += name.count + value.count + 32
        if !name.isEmpty, name[0] == 0x3A { hasPseudo = true }
        guard size <= limit else {
            isTooLarge = true
            return
        }
        let bytes = Array(copying: value)
        switch String(decoding: Array(copying: name), as: UTF8.self) {
        case ":method": method = bytes
        case ":path": path = bytes
        case ":authority": authority = bytes
        case ":status": status = bytes
        case ":scheme", ":protocol": break
        case "host": host = bytes
        case "cookie":
            // Section 8.2.3: pieces are put together for those who speak HTTP/1.1.
            if !cookie.isEmpty { cookie += [0x3B, 0x20] }
            cookie += bytes
        case "te": break
        case "content-length":
            hasLength = true
            append(name, bytes)
        default: append(name, bytes)
        }
    }

    private mutating func append(_ name: Span<UInt8>, _ value: [UInt8]) {
        lines += Array(copying: name) + [0x3A, 0x20] + value + [0x0D, 0x0A]
    }

    /// Whether the body's length is told, and the body so goes on as it is.
    public var isSized: Bool { hasLength }
    /// Whether it follows a body (section 8.1): only a head has pseudo-header fields, be they ones
    /// that were too long to keep.
    var isTrailers: Bool { !hasPseudo }
    /// Whether another head follows: 1xx.
    public var isInterim: Bool { status.first == UInt8(ascii: "1") }
    /// The lines of a trailer section, each with its end.
    var trailers: [UInt8] { lines }

    /// The head of a request, its empty line included.
    public func request(hasBody: Bool) -> [UInt8] {
        var head = method + [0x20] + (path.isEmpty ? authority : path)
        head += Array(" HTTP/1.1\r\n".utf8)
        // Section 8.3.1: where both are there they have to agree; the parser refuses two hosts.
        if !authority.isEmpty { head += Array("Host: ".utf8) + authority + [0x0D, 0x0A] }
        if let host, host != authority { head += Array("Host: ".utf8) + host + [0x0D, 0x0A] }
        if !cookie.isEmpty { head += Array("cookie: ".utf8) + cookie + [0x0D, 0x0A] }
        head += lines
        if hasBody, !hasLength { head += HTTP2Head.chunked }
        return head + [0x0D, 0x0A]
    }

    /// The head of an answer to a request with `method`, its empty line included.
    public func response(hasBody: Bool, to method: String) -> [UInt8] {
        var head = Array("HTTP/1.1 ".utf8) + status + Array(" \r\n".utf8) + lines
        if !isInterim, !hasLength {
            if hasBody {
                head += HTTP2Head.chunked
            } else if method != "HEAD", status != Array("204".utf8), status != Array("304".utf8) {
                head += Array("Content-Length: 0\r\n".utf8)
            }
        }
        return head + [0x0D, 0x0A]
    }

    private static let chunked = Array("Transfer-Encoding: chunked\r\n".utf8)
}
