internal import Keys

/// How many bytes of text a piece of an answer carries: of its words, its reasoning and its tools'
/// arguments, as they are written in JSON, which is never shorter than they are.
enum ContentMeter {
    /// Adds up the strings in `range` that stand under names that hold such text, however deep.
    static func count(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int64 {
        var (index, sum) = (range.lowerBound, Int64(0))
        var isText = false
        while index < range.upperBound {
            guard bytes[index] == UInt8(ascii: "\"") else {
                // In a list of texts the name before it still holds.
                if bytes[index] == UInt8(ascii: "{") { isText = false }
                index &+= 1
                continue
            }
            let start = index &+ 1
            index = end(bytes, start, range.upperBound)
            var next = index &+ 1
            while next < range.upperBound, bytes[next] == 0x20 { next &+= 1 }
            if next < range.upperBound, bytes[next] == UInt8(ascii: ":") {
                isText = isName(bytes, start..<min(index, range.upperBound))
            } else if isText {
                sum &+= Int64(index &- start)
                isText = false
            }
            index &+= 1
        }
        return sum
    }

    /// Where the string ends that begins at `start`: at its quote.
    private static func end(_ bytes: Span<UInt8>, _ start: Int, _ limit: Int) -> Int {
        var index = start
        while index < limit, bytes[index] != UInt8(ascii: "\"") {
            index &+= bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return min(index, limit)
    }

    private static func isName(_ bytes: Span<UInt8>, _ name: Range<Int>) -> Bool {
        bytes.equals(name, "content") || bytes.equals(name, "text")
            || bytes.equals(name, "delta") || bytes.equals(name, "reasoning_content")
            || bytes.equals(name, "reasoning") || bytes.equals(name, "arguments")
            || bytes.equals(name, "refusal") || bytes.equals(name, "thinking")
            || bytes.equals(name, "partial_json")
    }
}
