/// A cursor over bytes that reads integers and runs, and never past the end.
///
/// Errors: `ReadError` when fewer bytes are left than asked for; the cursor then stays put.
public struct Reader: Sendable {
    /// The bytes that are read.
    public let bytes: [UInt8]
    /// Offset of the next byte to read.
    public private(set) var offset: Int

    /// Starts at the first of `bytes`.
    public init(_ bytes: [UInt8]) {
        self.bytes = bytes
        offset = 0
    }

    /// The number of bytes not yet read.
    public var remaining: Int { bytes.count - offset }

    /// Whether everything has been read.
    public var isAtEnd: Bool { remaining == 0 }

    /// The next byte.
    public mutating func u8() throws(ReadError) -> UInt8 {
        UInt8(truncatingIfNeeded: try bigEndian(1))
    }

    /// The next two bytes, big-endian.
    public mutating func u16() throws(ReadError) -> UInt16 {
        UInt16(truncatingIfNeeded: try bigEndian(2))
    }

    /// The next three bytes, big-endian.
    public mutating func u24() throws(ReadError) -> UInt32 {
        UInt32(truncatingIfNeeded: try bigEndian(3))
    }

    /// The next four bytes, big-endian.
    public mutating func u32() throws(ReadError) -> UInt32 {
        UInt32(truncatingIfNeeded: try bigEndian(4))
    }

    /// The next eight bytes, big-endian.
    public mutating func u64() throws(ReadError) -> UInt64 { try bigEndian(8) }

    /// The next two bytes, little-endian.
    public mutating func u16LittleEndian() throws(ReadError) -> UInt16 { try u16().byteSwapped }

    /// The next four bytes, little-endian.
    public mutating func u32LittleEndian() throws(ReadError) -> UInt32 { try u32().byteSwapped }

    /// The next `count` bytes.
    public mutating func take(_ count: Int) throws(ReadError) -> [UInt8] {
        try need(count)
        defer { offset += count }
        return Array(bytes[offset..<offset + count])
    }

    /// Everything not yet read.
    public mutating func rest() -> [UInt8] {
        defer { offset = bytes.count }
        return Array(bytes[offset...])
    }

    private mutating func bigEndian(_ count: Int) throws(ReadError) -> UInt64 {
        try need(count)
        var value: UInt64 = 0
        for index in offset..<offset + count { value = value << 8 | UInt64(bytes[index]) }
        offset += count
        return value
    }

    private func need(_ count: Int) throws(ReadError) {
        guard count >= 0, count <= remaining else {
            throw ReadError(offset: offset, wanted: count, remaining: remaining)
        }
    }
}

/// A read past the end of the bytes.
public struct ReadError: Error, Equatable, Sendable {
    /// Where the read began.
    public let offset: Int
    /// How many bytes were asked for.
    public let wanted: Int
    /// How many were left.
    public let remaining: Int

    /// Names the place of a failed read.
    public init(offset: Int, wanted: Int, remaining: Int) {
        self.offset = offset
        self.wanted = wanted
        self.remaining = remaining
    }
}
