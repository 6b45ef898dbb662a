internal import Bytes

/// The members of one JSON object (RFC 8259 section 4) as places in its bytes, one after the other:
/// for what is read of a large or a frequent object without a value being made of it.
///
/// It follows brackets, quotes and escapes alone: whether the rest is JSON is for others to say. It
/// makes no copies and needs no memory.
public struct JSONMembers: Sendable {
    /// One member.
    public struct Member: Sendable {
        /// Between the quotes of its name, as it is spelled.
        public let name: Range<Int>
        /// Its value, without the space around it.
        public let value: Range<Int>
        /// From the comma before it, or its own quote where it is the first, to its value's end.
        public let whole: Range<Int>
        /// Whether it is the object's first.
        public let isFirst: Bool
    }

    private var offset: Int
    private let end: Int
    private var count = 0
    /// Whether the bytes are no object; nothing more comes then.
    public private(set) var isMalformed = false
    /// Where the object ends, just past its brace; nil before that.
    public private(set) var close: Int?

    /// Begins at the object that stands in `range`, with nothing but space around it.
    public init(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "within the bytes")
        offset = range.lowerBound
        end = range.upperBound
        skipSpace(bytes)
        if !take(bytes, UInt8(ascii: "{")) { isMalformed = true }
    }

    /// The next member; nil at the end, or where there is no object.
    public mutating func next(_ bytes: Span<UInt8>) -> Member? {
        guard !isMalformed, close == nil else { return nil }
        precondition(end <= bytes.count, "the bytes that it began with")
        var start = offset
        skipSpace(bytes)
        if take(bytes, UInt8(ascii: "}")) {
            close = offset
            skipSpace(bytes)
            if offset != end { isMalformed = true }
            return nil
        }
        let isFirst = count == 0
        if !isFirst {
            start = offset
            guard take(bytes, UInt8(ascii: ",")) else { return fail() }
            skipSpace(bytes)
        } else {
            start = offset
        }
        guard let name = string(bytes) else { return fail() }
        skipSpace(bytes)
        guard take(bytes, UInt8(ascii: ":")) else { return fail() }
        skipSpace(bytes)
        let first = offset
        guard skipValue(bytes) else { return fail() }
        count += 1
        return Member(
            name: name, value: first..<offset, whole: start..<offset, isFirst: isFirst)
    }

    private mutating func fail() -> Member? {
        isMalformed = true
        return nil
    }

    /// The next byte; only where `offset` is below `end`, which `init` has held to the bytes.
    @inline(__always)
    private func byteAt(_ bytes: Span<UInt8>) -> UInt8 { unsafe bytes[unchecked: offset] }

    @inline(__always)
    private mutating func take(_ bytes: Span<UInt8>, _ byte: UInt8) -> Bool {
        guard offset < end, byteAt(bytes) == byte else { return false }
        offset &+= 1
        return true
    }

    @inline(__always)
    private mutating func skipSpace(_ bytes: Span<UInt8>) {
        while offset < end {
            switch byteAt(bytes) {
            case 0x20, 0x09, 0x0A, 0x0D: offset &+= 1
            default: return
            }
        }
    }

    /// Passes over a string; answers what stands between its quotes.
    private mutating func string(_ bytes: Span<UInt8>) -> Range<Int>? {
        guard take(bytes, UInt8(ascii: "\"")) else { return nil }
        let start = offset
        guard let quote = bytes.stringEnd(from: start, before: end) else { return nil }
        offset = quote &+ 1
        return start..<quote
    }

    private mutating func skipValue(_ bytes: Span<UInt8>) -> Bool {
        guard offset < end else { return false }
        switch byteAt(bytes) {
        case UInt8(ascii: "\""): return string(bytes) != nil
        case UInt8(ascii: "{"), UInt8(ascii: "["): return skipNested(bytes)
        default: return skipScalar(bytes)
        }
    }

    private mutating func skipNested(_ bytes: Span<UInt8>) -> Bool {
        var depth = 0
        while offset < end {
            switch byteAt(bytes) {
            case UInt8(ascii: "\""):
                guard string(bytes) != nil else { return false }
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth &+= 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth &-= 1
                if depth == 0 {
                    offset &+= 1
                    return true
                }
            default: break
            }
            offset &+= 1
        }
        return false
    }

    /// A number or a word: up to what ends a value.
    private mutating func skipScalar(_ bytes: Span<UInt8>) -> Bool {
        let start = offset
        scanning: while offset < end {
            switch byteAt(bytes) {
            case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), 0x20, 0x09, 0x0A, 0x0D:
                break scanning
            case UInt8(ascii: "\""), UInt8(ascii: ":"), UInt8(ascii: "{"), UInt8(ascii: "["):
                return false
            default: offset &+= 1
            }
        }
        return offset > start
    }
}

extension Span where Element == UInt8 {
    /// The quote that ends the string whose first byte is at `start`; nil where none does before
    /// `limit`.
    @inline(__always)
    public func stringEnd(from start: Int, before limit: Int) -> Int? {
        let (quote, escape) = (UInt8(ascii: "\""), UInt8(ascii: "\\"))
        guard let first = first(quote, from: start), first < limit else { return nil }
        // Most have no escape, and are passed over at once.
        if first == start || self[first &- 1] != escape { return first }
        var index = start
        while index < limit {
            switch self[index] {
            case quote: return index
            case escape: index &+= 2
            default: index &+= 1
            }
        }
        return nil
    }

    /// Whether the bytes in `range` are those of `text`.
    @inline(__always)
    public func equals(_ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { wanted in
            var index = 0
            while index < wanted.count {
                if self[range.lowerBound &+ index] != (unsafe wanted[index]) { return false }
                index &+= 1
            }
            return true
        }
    }

    /// The whole number of at most 18 digits in `range`; nil for anything else.
    public func wholeNumber(_ range: Range<Int>) -> Int64? {
        // 10^18 is below 2^63.
        guard (1...18).contains(range.count) else { return nil }
        var number: Int64 = 0
        for index in range {
            let byte = self[index]
            guard (0x30...0x39).contains(byte) else { return nil }
            number = number &* 10 &+ Int64(byte &- 0x30)
        }
        return number
    }
}
