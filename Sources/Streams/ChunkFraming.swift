internal import Bytes

extension Buffer {
    /// The size line of a chunk (RFC 9112 section 7.1) of at most 16 KiB.
    @inline(__always)
    mutating func appendChunkHead(_ count: Int) {
        var line = InlineArray<8, UInt8>(repeating: 0)
        var digits = 1
        while count >> (4 * digits) != 0 { digits += 1 }
        for index in 0..<digits {
            let digit = UInt8(truncatingIfNeeded: count >> (4 * (digits - 1 - index)) & 15)
            line[index] = digit < 10 ? 0x30 + digit : 0x57 + digit
        }
        line[digits] = 0x0D
        line[digits + 1] = 0x0A
        _ = append(line.span.extracting(0..<(digits + 2)))
    }

    @inline(__always)
    mutating func appendLineEnd() {
        let end: InlineArray<2, UInt8> = [0x0D, 0x0A]
        _ = append(end.span)
    }
}
