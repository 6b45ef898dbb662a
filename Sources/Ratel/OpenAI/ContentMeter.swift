internal import Bytes
internal import Keys

/// How many bytes of text a piece of an answer carries: of its words, its reasoning and its tools'
/// arguments, as they are written in JSON, which is never shorter than they are.
enum ContentMeter {
    /// Adds up the strings in `range` that stand under names that hold such text, however deep.
    static func count(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int64 {
        let quote = UInt8(ascii: "\"")
        var (index, sum) = (range.lowerBound, Int64(0))
        var isText = false
        while let open = bytes.first(quote, from: index), open < range.upperBound {
            let start = open &+ 1
            let end = end(bytes, start, range.upperBound)
            var next = end &+ 1
            while next < range.upperBound, bytes[next] == 0x20 { next &+= 1 }
            if next < range.upperBound, bytes[next] == UInt8(ascii: ":") {
                isText = isName(bytes, start..<end)
            } else if isText {
                sum &+= Int64(end &- start)
                isText = false
            }
            index = end &+ 1
        }
        return sum
    }

    /// Where the string ends that begins at `start`: at its quote.
    private static func end(_ bytes: Span<UInt8>, _ start: Int, _ limit: Int) -> Int {
        let (quote, escape) = (UInt8(ascii: "\""), UInt8(ascii: "\\"))
        guard let first = bytes.first(quote, from: start), first < limit else { return limit }
        if first == start || bytes[first &- 1] != escape { return first }
        var index = start
        while index < limit, bytes[index] != quote { index &+= bytes[index] == escape ? 2 : 1 }
        return min(index, limit)
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
