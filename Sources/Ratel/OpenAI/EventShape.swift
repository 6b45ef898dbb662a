internal import Bytes
internal import Keys

/// The last event of a stream that had one string of text, to know the next by: what an engine
/// sends around a token is the same for each token, and then needs no second reading.
struct EventShape: ~Copyable {
    private var known: [UInt8] = []
    /// Where the text is in it, between its quotes.
    private var text = 0..<0

    /// Bytes of an event that is kept: eight times what vLLM sends with a token.
    private static let maxKept = 2 << 10

    /// How many bytes of text the event in `range` has, where it is the known one but for that
    /// text; nil where it has to be read.
    ///
    /// All before and behind the string is the same, and the string ends where what is behind it
    /// begins: then the two say the same of everything else.
    func count(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int64? {
        let tail = known.count - text.upperBound
        let (start, end) = (range.lowerBound + text.lowerBound, range.upperBound - tail)
        guard !known.isEmpty, start <= end,
            bytes.holds(known.span, 0..<text.lowerBound, at: range.lowerBound),
            bytes.holds(known.span, text.upperBound..<known.count, at: end),
            bytes.stringEnd(from: start, before: range.upperBound) == end,
            // A line's end in a string is no JSON, and would begin another field.
            bytes.first(0x0A, from: start).map({ $0 >= end }) ?? true
        else { return nil }
        return Int64(end - start)
    }

    /// Takes the event in `range`, whose one string of text is in `place`, for the known one.
    mutating func learn(_ bytes: Span<UInt8>, _ range: Range<Int>, text place: Range<Int>) {
        known.removeAll(keepingCapacity: true)
        guard range.count <= EventShape.maxKept else { return }
        known.append(copying: bytes.extracting(range))
        text = place.lowerBound - range.lowerBound..<place.upperBound - range.lowerBound
    }
}
