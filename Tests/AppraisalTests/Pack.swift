import Keys

/// Writes SCALE, MessagePack and GZIP, as far as tests need them.
enum Pack {
    static func length(_ count: Int) -> [UInt8] {
        switch count {
        case 0..<64: [UInt8(count << 2)]
        case 64..<(1 << 14): [UInt8(count << 2 & 0xFF | 1), UInt8(count >> 6)]
        default: (0..<4).map { UInt8(truncatingIfNeeded: (count << 2 | 2) >> (8 * $0)) }
        }
    }

    static func scale(_ bytes: [UInt8]) -> [UInt8] { length(bytes.count) + bytes }

    static func scale(items: [[UInt8]]) -> [UInt8] {
        length(items.count) + items.flatMap(\.self)
    }

    static func number(_ value: UInt8) -> [UInt8] { value < 128 ? [value] : [0xCC, value] }

    static func text(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        return (bytes.count < 32 ? [0xA0 | UInt8(bytes.count)] : [0xD9, UInt8(bytes.count)])
            + bytes
    }

    static func binary(_ bytes: [UInt8]) -> [UInt8] { [0xC5] + big(bytes.count) + bytes }

    /// Bytes as rmp writes a `Vec<u8>`: an array of numbers.
    static func numbers(_ bytes: [UInt8]) -> [UInt8] {
        [0xDC] + big(bytes.count) + bytes.flatMap { number($0) }
    }

    static func array(_ items: [[UInt8]]) -> [UInt8] {
        [0xDC] + big(items.count) + items.flatMap(\.self)
    }

    static func map(_ members: [(String, [UInt8])]) -> [UInt8] {
        [0x80 | UInt8(members.count)] + members.flatMap { text($0.0) + $0.1 }
    }

    /// One stored block, RFC 1951 section 3.2.4, in one member of RFC 1952.
    static func gzip(_ bytes: [UInt8]) -> [UInt8] {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        let count = bytes.count
        func little(_ value: UInt32, _ size: Int) -> [UInt8] {
            (0..<size).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
        }
        return [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 1] + little(UInt32(count), 2)
            + little(~UInt32(count), 2) + bytes + little(~crc, 4) + little(UInt32(count), 4)
    }

    private static func big(_ count: Int) -> [UInt8] { [UInt8(count >> 8), UInt8(count & 0xFF)] }
}
