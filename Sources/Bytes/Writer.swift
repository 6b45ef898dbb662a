/// Bytes under construction: integers big-endian unless said.
public struct Writer: Sendable {
    /// What has been written.
    public private(set) var bytes: [UInt8] = []

    /// Starts with nothing written.
    public init() {}

    /// Appends one byte.
    public mutating func u8(_ value: UInt8) { bytes.append(value) }

    /// Appends two bytes.
    public mutating func u16(_ value: UInt16) { bigEndian(UInt64(value), 2) }

    /// Appends the low three bytes of `value`, which must fit in them.
    public mutating func u24(_ value: UInt32) {
        precondition(value < 1 << 24, "the value does not fit in 24 bits")
        bigEndian(UInt64(value), 3)
    }

    /// Appends four bytes.
    public mutating func u32(_ value: UInt32) { bigEndian(UInt64(value), 4) }

    /// Appends eight bytes.
    public mutating func u64(_ value: UInt64) { bigEndian(value, 8) }

    /// Appends a run of bytes as it is.
    public mutating func append(_ run: [UInt8]) { bytes.append(contentsOf: run) }

    /// Appends the UTF-8 bytes of `text`, with no terminator.
    public mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func bigEndian(_ value: UInt64, _ count: Int) {
        for index in stride(from: (count - 1) * 8, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(index)))
        }
    }
}
