internal import Bytes

/// Reads SCALE, the encoding of Substrate (docs.polkadot.com, "SCALE Codec"): little-endian numbers
/// one after the other, and lengths in a compact form.
///
/// Lengths longer than needed are refused, as the reference implementation does; errors are nil,
/// since there is nothing to say but where.
struct ScaleReader {
    private var reader: Reader

    /// Reads `bytes` from their beginning.
    init(_ bytes: [UInt8]) { reader = Reader(bytes) }

    /// Whether everything was read.
    var isAtEnd: Bool { reader.isAtEnd }

    mutating func u8() -> UInt8? { try? reader.u8() }

    mutating func u32() -> UInt32? { try? reader.u32LittleEndian() }

    mutating func fixed(_ count: Int) -> [UInt8]? { try? reader.take(count) }

    /// `Vec<u8>`.
    mutating func bytes() -> [UInt8]? {
        guard let count = length() else { return nil }
        return try? reader.take(count)
    }

    /// `String`.
    mutating func text() -> String? {
        bytes().flatMap { String(validating: $0, as: UTF8.self) }
    }

    /// `Vec<T>` of at most `limit` items.
    mutating func list<Item>(
        limit: Int, _ item: (inout ScaleReader) -> Item?
    ) -> [Item]? {
        guard let count = length(), count <= limit else { return nil }
        var items: [Item] = []
        for _ in 0..<count {
            guard let next = item(&self) else { return nil }
            items.append(next)
        }
        return items
    }

    /// A compact number, as far as a length may go; never more than there are bytes left.
    mutating func length() -> Int? {
        guard let first = u8() else { return nil }
        let count: Int
        switch first & 3 {
        case 0: count = Int(first >> 2)
        case 1:
            guard let second = u8() else { return nil }
            count = Int(first >> 2) | Int(second) << 6
            guard count > 63 else { return nil }
        case 2:
            guard let rest = fixed(3) else { return nil }
            count =
                Int(first >> 2) | Int(rest[0]) << 6 | Int(rest[1]) << 14 | Int(rest[2]) << 22
            guard count > 16_383 else { return nil }
        // Lengths of 2^30 and more.
        default: return nil
        }
        return count <= reader.remaining ? count : nil
    }
}
