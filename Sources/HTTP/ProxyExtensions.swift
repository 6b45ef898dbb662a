/// What may follow the addresses in a header of the PROXY protocol: types, lengths and values
/// (`proxy-protocol.txt`, section 2.2.1 and on).
enum ProxyExtensions {
    private static let checksumType: UInt8 = 0x03

    /// Holds the extensions to their frame and, where there is one, to their checksum, which the
    /// receiver has to verify; nothing else in them is used.
    static func check(
        _ bytes: Span<UInt8>, from start: Int, to end: Int
    ) throws(HTTPRefusal) {
        var offset = start
        var checksum: Int?
        while offset < end {
            guard offset + 3 <= end else { throw cut(end - offset) }
            let length = Int(bytes[offset + 1]) << 8 | Int(bytes[offset + 2])
            let next = offset + 3 + length
            guard next <= end else { throw cut(end - offset) }
            if bytes[offset] == checksumType {
                guard length == 4, checksum == nil else {
                    throw .bad("proxy_protocol.checksum", "one CRC32c of 4 bytes", "another")
                }
                checksum = offset + 3
            }
            offset = next
        }
        guard let checksum else { return }
        var told: UInt32 = 0
        for index in checksum..<checksum + 4 { told = told << 8 | UInt32(bytes[index]) }
        guard told == crc32c(bytes, to: end, zeroing: checksum..<checksum + 4) else {
            throw .bad("proxy_protocol.checksum", "the CRC32c of the header", "another")
        }
    }

    private static func cut(_ left: Int) -> HTTPRefusal {
        .bad("proxy_protocol.extension", "whole extensions up to the end", "\(left) bytes left")
    }

    /// Castagnoli's polynomial, reflected (RFC 9260 appendix A); bit by bit, for 536 bytes at most.
    private static func crc32c(
        _ bytes: Span<UInt8>, to end: Int, zeroing hole: Range<Int>
    ) -> UInt32 {
        var sum: UInt32 = ~0
        for index in 0..<end {
            sum ^= hole.contains(index) ? 0 : UInt32(bytes[index])
            for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 1 ? 0x82F6_3B78 : 0) }
        }
        return ~sum
    }
}
