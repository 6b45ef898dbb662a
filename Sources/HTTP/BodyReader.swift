/// Finds the end of one message body without keeping any of it, RFC 9112 sections 6 and 7.
///
/// A value that allocates nothing and counts no references: it runs for every token. It keeps its
/// place between reads, so a body may be split anywhere. After a refusal the message cannot be
/// read on; the connection has to close.
@frozen public struct BodyReader: Sendable {
    @usableFromInline var state: State
    /// Bytes of the chunk, or of the body of known length, that are still to come.
    @usableFromInline var remaining: UInt64 = 0
    /// Bytes of the chunk-size line, or of the trailer section, that were read.
    @usableFromInline var lineCount = 0
    @usableFromInline var trailerName = TrailerName()
    @usableFromInline var passed: UInt64 = 0

    /// What the bytes of a segment are.
    @frozen public enum Kind: Sendable, Equatable {
        /// Chunk-size lines, the CRLF after chunk data, the last chunk and the trailers.
        case framing
        /// Bytes of the content.
        case data
        /// The message is complete; the segment is empty.
        case end
        /// Everything was read and the message is not complete; the segment is empty.
        case needMore
    }

    /// A run of bytes of one kind, from the offset that was asked for to `end`.
    @frozen public struct Segment: Sendable, Equatable {
        public let kind: Kind
        public let end: Int

        @inlinable
        init(kind: Kind, end: Int) {
            self.kind = kind
            self.end = end
        }
    }

    /// How far a body reached into a buffer.
    @frozen public struct Skim: Sendable, Equatable {
        /// Bytes that belong to the message; all of them unless it is finished.
        public let consumed: Int
        /// Whether the message is complete.
        public let finished: Bool

        @inlinable
        init(consumed: Int, finished: Bool) {
            self.consumed = consumed
            self.finished = finished
        }
    }

    @frozen @usableFromInline enum State: UInt8, Sendable {
        case finished, data, untilClose
        case sizeFirst, size, sizeLF
        case extensionNameFirst, extensionName, extensionValueFirst, extensionToken
        case extensionQuoted, extensionEscape, extensionQuoteEnd
        case chunkData, chunkCR, chunkLF
        case trailerFirst, trailerName, trailerValue, trailerLF, lastLF
    }

    /// A reader at the start of a body.
    @inlinable
    public init(_ framing: BodyFraming) {
        switch framing {
        case .none: state = .finished
        case .length(let length):
            state = length == 0 ? .finished : .data
            remaining = length
        case .chunked: state = .sizeFirst
        case .untilClose: state = .untilClose
        }
    }

    /// Whether the message is complete.
    @inlinable public var isFinished: Bool { state == .finished }

    /// Whether what follows is the trailer section, with the empty line that ends it.
    @inlinable public var isInTrailers: Bool {
        switch state {
        case .trailerFirst, .trailerName, .trailerValue, .trailerLF, .lastLF: true
        default: false
        }
    }

    /// Bytes of content so far, framing not counted.
    @inlinable public var dataCount: UInt64 { passed }

    /// Tells the reader that the peer closed; `false` means that the body was cut short.
    @inlinable
    public mutating func finishedByClose() -> Bool {
        if state == .untilClose { state = .finished }
        return state == .finished
    }

    /// The next run of bytes of one kind, from `offset` on.
    ///
    /// Call it until it answers `.end` or `.needMore`, each time from the end of the last segment.
    @inlinable
    public mutating func next(_ bytes: Span<UInt8>, from offset: Int) throws(HTTPRefusal)
        -> Segment
    {
        if state == .finished { return Segment(kind: .end, end: offset) }
        let count = bytes.count
        if offset >= count { return Segment(kind: .needMore, end: offset) }
        switch state {
        case .data, .chunkData, .untilClose:
            return Segment(kind: .data, end: passData(from: offset, to: count))
        default:
            return Segment(kind: .framing, end: try passFraming(bytes, from: offset))
        }
    }

    /// Reads the whole buffer at once: what a relay that passes bodies through needs to know.
    @inlinable
    public mutating func skim(_ bytes: Span<UInt8>) throws(HTTPRefusal) -> Skim {
        let count = bytes.count
        var index = 0
        while state != .finished && index < count {
            switch state {
            case .data, .chunkData, .untilClose:
                index = passData(from: index, to: count)
            default:
                index = try passFraming(bytes, from: index)
            }
        }
        return Skim(consumed: index, finished: state == .finished)
    }
}

extension BodyReader {
    /// Passes over content and returns where it ends.
    @inlinable
    mutating func passData(from index: Int, to count: Int) -> Int {
        let available = count &- index
        if state == .untilClose {
            passed &+= UInt64(available)
            return count
        }
        let taken = remaining < UInt64(available) ? Int(remaining) : available
        remaining &-= UInt64(taken)
        passed &+= UInt64(taken)
        if remaining == 0 { state = state == .data ? .finished : .chunkCR }
        return index &+ taken
    }

    /// Passes over framing and returns where it ends: at content, at the message's end, or at the
    /// end of `bytes`.
    @inlinable
    mutating func passFraming(_ bytes: Span<UInt8>, from start: Int) throws(HTTPRefusal) -> Int {
        var index = start
        let count = bytes.count
        while index < count {
            let byte = bytes[index]
            switch state {
            case .finished, .data, .untilClose, .chunkData: return index
            case .chunkCR:
                guard byte == 0x0D else { throw .badByte(Self.chunkEnd, "CR", byte, at: index) }
                state = .chunkLF
            case .chunkLF:
                guard byte == 0x0A else { throw .badByte(Self.chunkEnd, "LF", byte, at: index) }
                state = .sizeFirst
                lineCount = 0
            case .sizeFirst:
                guard let digit = Grammar.hexValue(byte) else {
                    throw .badByte(Self.chunkSize, "a hexadecimal digit", byte, at: index)
                }
                remaining = UInt64(digit)
                lineCount = 1
                state = .size
            case .size:
                try readSize(byte, at: index)
            case .sizeLF:
                guard byte == 0x0A else { throw .badByte(Self.chunkSize, "LF", byte, at: index) }
                lineCount = 0
                guard remaining == 0 else {
                    state = .chunkData
                    break
                }
                // A run of its own, for those who keep trailers.
                state = .trailerFirst
                return index &+ 1
            case .trailerFirst, .trailerName, .trailerValue, .trailerLF, .lastLF:
                try readTrailer(byte, at: index)
            default:
                try readExtension(byte, at: index)
            }
            index &+= 1
        }
        return index
    }

    @inlinable
    mutating func readSize(_ byte: UInt8, at index: Int) throws(HTTPRefusal) {
        if let digit = Grammar.hexValue(byte) {
            lineCount &+= 1
            // 16 digits are 64 bits; `maxLength` keeps the sum below the sign bit.
            guard lineCount <= 16 else {
                throw .bad(Self.chunkSize, "at most 16 digits", "more")
            }
            remaining = remaining << 4 | UInt64(digit)
        } else {
            try endSize(byte, at: index)
        }
        guard remaining <= HTTPLimits.maxLength else {
            throw .bad(Self.chunkSize, "at most 2^63 - 1", "more")
        }
    }

    @inlinable
    mutating func endSize(_ byte: UInt8, at index: Int) throws(HTTPRefusal) {
        switch byte {
        case 0x0D: state = .sizeLF
        case 0x3B:
            state = .extensionNameFirst
            lineCount &+= 1
        default: throw .badByte(Self.chunkSize, "a digit, ; or CR", byte, at: index)
        }
    }

    @usableFromInline static var chunkSize: String { "http.chunk.size" }
    @usableFromInline static var chunkEnd: String { "http.chunk.end" }
}
