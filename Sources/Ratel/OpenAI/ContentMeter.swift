internal import Bytes
internal import Keys

/// How many bytes of text a piece of an answer carries: of its words, its reasoning and its tools'
/// arguments, as they are written in JSON, which is never shorter than they are.
enum ContentMeter {
    /// The text that was found.
    struct Text {
        /// Its bytes.
        var count: Int64 = 0
        /// In how many strings it is, and where the last of them is.
        var (strings, last) = (0, 0..<0)

        mutating func add(_ place: Range<Int>) {
            count &+= Int64(place.count)
            strings &+= 1
            last = place
        }
    }

    /// Adds up the strings in `range` that stand under names that hold such text, however deep.
    static func text(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Text {
        var (text, isText) = (Text(), false)
        var index = range.lowerBound
        while let open = bytes.first(UInt8(ascii: "\""), from: index), open < range.upperBound {
            let start = open &+ 1
            let end = bytes.stringEnd(from: start, before: range.upperBound) ?? range.upperBound
            var next = end &+ 1
            while next < range.upperBound, bytes[next] == 0x20 { next &+= 1 }
            if next < range.upperBound, bytes[next] == UInt8(ascii: ":") {
                isText = isName(bytes, start..<end)
            } else if isText {
                text.add(start..<end)
                isText = false
            }
            index = end &+ 1
        }
        return text
    }

    private static func isName(_ bytes: Span<UInt8>, _ name: Range<Int>) -> Bool {
        switch name.count {
        case 4: bytes.equals(name, "text")
        case 5: bytes.equals(name, "delta")
        case 7: bytes.equals(name, "content") || bytes.equals(name, "refusal")
        case 8: bytes.equals(name, "thinking")
        case 9: bytes.equals(name, "reasoning") || bytes.equals(name, "arguments")
        case 12: bytes.equals(name, "partial_json")
        case 17: bytes.equals(name, "reasoning_content")
        default: false
        }
    }
}
