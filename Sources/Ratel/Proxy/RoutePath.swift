internal import HTTP

/// Paths as routes compare them.
///
/// A prefix decides who may use what, so that no path may mean one thing here and another behind:
/// letters that are escaped without need are read as themselves (RFC 3986 section 6.2.2.2), and a
/// path that servers resolve in different ways is refused.
enum RoutePath {
    /// The path with needless escapes undone.
    static func normalise(_ path: String) throws(HTTPRefusal) -> String {
        var output: [UInt8] = []
        var bytes = Array(path.utf8)[...]
        while let byte = bytes.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                guard byte != UInt8(ascii: "\\") else { throw refusal("a backslash") }
                output.append(byte)
                continue
            }
            guard bytes.count >= 2, let high = digit(bytes.removeFirst()),
                let low = digit(bytes.removeFirst())
            else { throw refusal("% without two digits") }
            let value = high << 4 | low
            switch value {
            case UInt8(ascii: "/"), UInt8(ascii: "\\"), 0:
                throw refusal("an escaped slash, backslash or zero")
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                output.append(value)
            default: output += [UInt8(ascii: "%"), upper(high), upper(low)]
            }
        }
        let segments = output.dropFirst().split(
            separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        for (index, segment) in segments.enumerated() {
            if segment.isEmpty, index < segments.count - 1 { throw refusal("an empty segment") }
            // Some servers cut parameters off a segment before they resolve its dots.
            let bare = segment.prefix { $0 != UInt8(ascii: ";") }
            if bare.elementsEqual([0x2E]) || bare.elementsEqual([0x2E, 0x2E]) {
                throw refusal("a segment of dots")
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - 0x30
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - 0x57
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - 0x37
        default: nil
        }
    }

    private static func upper(_ value: UInt8) -> UInt8 { value + (value < 10 ? 0x30 : 0x37) }

    private static func refusal(_ got: String) -> HTTPRefusal {
        HTTPRefusal(
            code: "proxy.path.ambiguous", status: 400,
            expected: "a path that every server reads alike", got: got)
    }
}
