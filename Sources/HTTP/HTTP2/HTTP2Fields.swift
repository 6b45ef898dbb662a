internal import CNGHTTP2

/// A response's fields as nghttp2 takes them: names in lower case, without what belongs to a
/// connection of HTTP/1.1 (RFC 9113 section 8.2.2).
@safe
struct HTTP2Fields {
    private var bytes: [UInt8] = []
    private var ranges: [(name: Range<Int>, value: Range<Int>)] = []

    private static let dropped: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te",
    ]

    init(_ head: ResponseHead) {
        append(Array(":status".utf8), Array(String(head.status).utf8))
        for entry in head.fields.entries {
            let name = head.fields.storage[entry.name].map(Grammar.lower)
            guard !HTTP2Fields.dropped.contains(String(decoding: name, as: UTF8.self)) else {
                continue
            }
            append(name, Array(head.fields.storage[entry.value]))
        }
    }

    private mutating func append(_ name: [UInt8], _ value: [UInt8]) {
        let start = bytes.count
        bytes += name
        let middle = bytes.count
        bytes += value
        ranges.append((start..<middle, middle..<bytes.count))
    }

    /// Lends the pairs; nghttp2 copies them.
    @unsafe func withFields(_ body: (UnsafePointer<nghttp2_nv>?, Int) -> Void) {
        var copy = bytes
        unsafe copy.withUnsafeMutableBufferPointer { storage in
            guard let base = storage.baseAddress else { return }
            let pairs = unsafe ranges.map { name, value in
                unsafe nghttp2_nv(
                    name: base + name.lowerBound, value: base + value.lowerBound,
                    namelen: name.count, valuelen: value.count,
                    flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue))
            }
            unsafe pairs.withUnsafeBufferPointer { unsafe body($0.baseAddress, $0.count) }
        }
    }
}
