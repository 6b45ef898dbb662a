internal import CNGHTTP2

/// The fields of a header block as nghttp2 takes them: names in lower case, without what belongs to
/// a connection of HTTP/1.1 (RFC 9113 section 8.2.2).
@safe
struct HTTP2Fields {
    private var bytes: [UInt8] = []
    private var ranges: [(name: Range<Int>, value: Range<Int>)] = []

    private static let dropped: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te",
    ]

    init(_ head: ResponseHead) {
        append(":status", String(head.status))
        append(head.fields, except: [])
    }

    /// Everything goes over TLS, so the scheme is `https`; the host is the authority (section
    /// 8.3.1).
    init(_ head: RequestHead) {
        append(":method", head.method)
        append(":scheme", "https")
        append(":authority", head.host ?? "")
        append(":path", head.target)
        append(head.fields, except: ["host"])
    }

    /// Field lines of a trailer section, which was checked while it was read.
    init(trailers: [UInt8]) {
        for line in trailers.split(separator: 0x0A) {
            guard let colon = line.firstIndex(of: 0x3A) else { continue }
            var value = line[(colon + 1)...].drop(while: Grammar.isBlank)
            while let last = value.last, last == 0x0D || Grammar.isBlank(last) {
                value.removeLast()
            }
            append(line[..<colon].map(Grammar.lower), Array(value))
        }
    }

    private mutating func append(_ fields: HTTPFields, except others: Set<String>) {
        for entry in fields.entries {
            let name = fields.storage[entry.name].map(Grammar.lower)
            let text = String(decoding: name, as: UTF8.self)
            guard !HTTP2Fields.dropped.contains(text), !others.contains(text) else { continue }
            append(name, Array(fields.storage[entry.value]))
        }
    }

    private mutating func append(_ name: String, _ value: String) {
        append(Array(name.utf8), Array(value.utf8))
    }

    private mutating func append(_ name: [UInt8], _ value: [UInt8]) {
        let start = bytes.count
        bytes += name
        let middle = bytes.count
        bytes += value
        ranges.append((start..<middle, middle..<bytes.count))
    }

    /// Lends the pairs; nghttp2 copies them.
    @unsafe func withFields<Result>(
        _ body: (UnsafePointer<nghttp2_nv>?, Int) -> Result
    ) -> Result {
        var copy = bytes
        return unsafe copy.withUnsafeMutableBufferPointer { storage in
            guard let base = storage.baseAddress else { return body(nil, 0) }
            let pairs = unsafe ranges.map { name, value in
                unsafe nghttp2_nv(
                    name: base + name.lowerBound, value: base + value.lowerBound,
                    namelen: name.count, valuelen: value.count,
                    flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue))
            }
            return unsafe pairs.withUnsafeBufferPointer { unsafe body($0.baseAddress, $0.count) }
        }
    }
}
