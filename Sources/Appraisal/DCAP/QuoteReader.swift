internal import Bytes
internal import RATS

/// Reads little-endian structures; running out of bytes is the refusal `dcap.quote.malformed`.
struct QuoteReader {
    private var reader: Reader

    init(_ bytes: [UInt8]) { reader = Reader(bytes) }

    var offset: Int { reader.offset }
    var isAtEnd: Bool { reader.isAtEnd }

    mutating func take(_ count: Int) throws(Refusal) -> [UInt8] {
        do throws(ReadError) {
            return try reader.take(count)
        } catch {
            throw DCAPRefusal.malformed
        }
    }

    mutating func u16() throws(Refusal) -> UInt16 {
        let bytes = try take(2)
        return UInt16(bytes[0]) | UInt16(bytes[1]) << 8
    }

    mutating func u32() throws(Refusal) -> UInt32 {
        UInt32(try u16()) | UInt32(try u16()) << 16
    }

    /// A u32 length and as many bytes.
    mutating func sized() throws(Refusal) -> [UInt8] { try take(Int(try u32())) }

    mutating func rest() -> [UInt8] { reader.rest() }
}
