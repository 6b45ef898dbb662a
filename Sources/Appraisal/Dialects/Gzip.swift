/// Reads one member of GZIP, RFC 1952, whole in memory.
enum Gzip {
    /// The content of the one member that `bytes` are; nil where they are none, the checksum does
    /// not hold, bytes follow, or there are more than `limit`.
    static func decompress(_ bytes: [UInt8], limit: Int) -> [UInt8]? {
        // ID1, ID2, CM 8, FLG, MTIME, XFL, OS; at the end CRC32 and ISIZE.
        guard bytes.count >= 18, bytes.starts(with: [0x1F, 0x8B, 8]), bytes[3] & 0xE0 == 0 else {
            return nil
        }
        let flags = bytes[3]
        var offset = 10
        if flags & 4 != 0 {
            guard offset + 2 <= bytes.count else { return nil }
            offset += 2 + Int(bytes[offset]) + Int(bytes[offset + 1]) << 8
        }
        // FNAME and FCOMMENT end with a zero.
        for flag: UInt8 in [8, 16] where flags & flag != 0 {
            guard offset < bytes.count, let end = bytes[offset...].firstIndex(of: 0) else {
                return nil
            }
            offset = end + 1
        }
        if flags & 2 != 0 { offset += 2 }
        guard offset + 8 <= bytes.count else { return nil }
        let data = Array(bytes[offset..<bytes.count - 8])
        guard let content = Inflate.decompress(data, limit: limit) else { return nil }
        let trailer = bytes.suffix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let expected =
            UInt64(UInt32(truncatingIfNeeded: content.count)) << 32 | UInt64(crc(content))
        return trailer == expected ? content : nil
    }

    /// What stands behind `magic`, decompressed; `bytes` as they are where they do not begin so.
    static func unwrapped(_ bytes: [UInt8], magic: [UInt8], limit: Int) -> [UInt8]? {
        guard bytes.starts(with: magic) else { return bytes }
        return decompress(Array(bytes.dropFirst(magic.count)), limit: limit)
    }

    // RFC 1952 section 8.
    private static func crc(_ bytes: [UInt8]) -> UInt32 {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in bytes { crc = table[Int((crc ^ UInt32(byte)) & 0xFF)] ^ crc >> 8 }
        return crc ^ 0xFFFF_FFFF
    }

    private static let table: [UInt32] = (0..<256).map { number in
        (0..<8).reduce(UInt32(number)) { value, _ in
            value & 1 == 1 ? 0xEDB8_8320 ^ value >> 1 : value >> 1
        }
    }
}

/// Reads DEFLATE, RFC 1951.
struct Inflate {
    private let input: [UInt8]
    private let limit: Int
    private var offset = 0
    private var bits: UInt32 = 0
    private var held = 0
    private var output: [UInt8] = []

    /// The content of the one stream that `bytes` are; nil where they are none, bytes follow, or
    /// there are more than `limit`.
    static func decompress(_ bytes: [UInt8], limit: Int) -> [UInt8]? {
        var inflate = Inflate(bytes, limit)
        var isLast = false
        while !isLast {
            guard let last = inflate.take(1), let type = inflate.take(2) else { return nil }
            isLast = last == 1
            switch type {
            case 0: guard inflate.stored() else { return nil }
            case 1: guard inflate.compressed(.fixedLengths, .fixedDistances) else { return nil }
            case 2:
                guard let (lengths, distances) = inflate.codes(),
                    inflate.compressed(lengths, distances)
                else { return nil }
            default: return nil
            }
        }
        return inflate.offset == bytes.count ? inflate.output : nil
    }

    private init(_ input: [UInt8], _ limit: Int) {
        self.input = input
        self.limit = limit
    }

    private mutating func take(_ count: Int) -> Int? {
        while held < count {
            guard offset < input.count else { return nil }
            bits |= UInt32(input[offset]) << UInt32(held)
            offset += 1
            held += 8
        }
        defer {
            bits >>= UInt32(count)
            held -= count
        }
        return Int(bits & (1 << UInt32(count) - 1))
    }

    private mutating func stored() -> Bool {
        // Fewer than eight bits are held: those up to the next byte are padding.
        (bits, held) = (0, 0)
        guard offset + 4 <= input.count else { return false }
        let count = Int(input[offset]) | Int(input[offset + 1]) << 8
        let complement = Int(input[offset + 2]) | Int(input[offset + 3]) << 8
        offset += 4
        guard count ^ complement == 0xFFFF, offset + count <= input.count,
            output.count + count <= limit
        else { return false }
        output += input[offset..<offset + count]
        offset += count
        return true
    }

    private mutating func compressed(_ lengths: Huffman, _ distances: Huffman) -> Bool {
        while true {
            guard let symbol = next(lengths) else { return false }
            switch symbol {
            case 0..<256:
                guard output.count < limit else { return false }
                output.append(UInt8(symbol))
            case 256: return true
            case 257..<286:
                let place = symbol - 257
                guard let extra = take(Inflate.lengthBits[place]), let code = next(distances),
                    code < 30, let more = take(Inflate.distanceBits[code])
                else { return false }
                let count = Inflate.lengthBases[place] + extra
                let distance = Inflate.distanceBases[code] + more
                guard distance <= output.count, output.count + count <= limit else {
                    return false
                }
                for _ in 0..<count { output.append(output[output.count - distance]) }
            default: return false
            }
        }
    }

    private mutating func next(_ code: Huffman) -> Int? {
        var (value, first, index) = (0, 0, 0)
        for length in 1...15 {
            guard let bit = take(1) else { return nil }
            value |= bit
            let count = code.counts[length]
            if value - count < first { return code.symbols[index + value - first] }
            index += count
            first = (first + count) << 1
            value <<= 1
        }
        return nil
    }

    // Section 3.2.7: the lengths of both codes, themselves coded.
    private mutating func codes() -> (Huffman, Huffman)? {
        guard let more = take(5), let distances = take(5), let others = take(4), more < 30 else {
            return nil
        }
        let counts = (lengths: more + 257, distances: distances + 1)
        var lengths = [Int](repeating: 0, count: 19)
        for place in Inflate.order.prefix(others + 4) {
            guard let length = take(3) else { return nil }
            lengths[place] = length
        }
        guard let code = Huffman(lengths) else { return nil }
        var all: [Int] = []
        while all.count < counts.lengths + counts.distances {
            guard let symbol = next(code) else { return nil }
            switch symbol {
            case 0..<16: all.append(symbol)
            case 16:
                guard let previous = all.last, let extra = take(2) else { return nil }
                all += [Int](repeating: previous, count: 3 + extra)
            case 17:
                guard let extra = take(3) else { return nil }
                all += [Int](repeating: 0, count: 3 + extra)
            default:
                guard let extra = take(7) else { return nil }
                all += [Int](repeating: 0, count: 11 + extra)
            }
        }
        // Without the symbol for the end nothing would end.
        guard all.count == counts.lengths + counts.distances, all[256] > 0,
            let first = Huffman(Array(all[..<counts.lengths])),
            let second = Huffman(Array(all[counts.lengths...]))
        else { return nil }
        return (first, second)
    }

    private static let order = [
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
    ]
    // Section 3.2.5.
    private static let lengthBits =
        [Int](repeating: 0, count: 8) + (1...5).flatMap { [Int](repeating: $0, count: 4) } + [0]
    private static let lengthBases = bases(from: 3, Array(lengthBits.dropLast())) + [258]
    private static let distanceBits = [0, 0] + (0...13).flatMap { [$0, $0] }
    private static let distanceBases = bases(from: 1, distanceBits)

    private static func bases(from first: Int, _ bits: [Int]) -> [Int] {
        var next = first
        return bits.map { count in
            defer { next += 1 << count }
            return next
        }
    }
}

/// A canonical Huffman code, RFC 1951 section 3.2.2.
private struct Huffman {
    /// Codes of each length from 0 to 15.
    let counts: [Int]
    /// Symbols in the order of their codes.
    let symbols: [Int]

    /// Makes the code of symbols with these lengths; nil where there are more codes than bits.
    init?(_ lengths: [Int]) {
        var counts = [Int](repeating: 0, count: 16)
        for length in lengths { counts[length] += 1 }
        counts[0] = 0
        var left = 1
        for length in 1...15 {
            left = left << 1 - counts[length]
            guard left >= 0 else { return nil }
        }
        self.counts = counts
        symbols = (1...15).flatMap { length in
            lengths.indices.filter { lengths[$0] == length }
        }
    }

    // Section 3.2.6.
    static let fixedLengths = Huffman(
        fixed: [(8, 144), (9, 112), (7, 24), (8, 8)])
    static let fixedDistances = Huffman(fixed: [(5, 30)])

    private init(fixed runs: [(length: Int, count: Int)]) {
        let lengths = runs.flatMap { [Int](repeating: $0.length, count: $0.count) }
        guard let code = Huffman(lengths) else { preconditionFailure("more codes than bits") }
        self = code
    }
}
