/// Reads CBOR in its deterministic encoding only, RFC 8949 section 4.2.1.
///
/// Refused: integers and lengths longer than needed, indefinite lengths, map keys out of order or
/// twice, text that is not UTF-8, floats and other simple values, nesting past `maxDepth`, more
/// items than `maxItems`, bytes behind the item. One byte string thus has at most one meaning, and
/// one meaning one byte string, so that a hash over either is the same statement. Documents that
/// others made need more leave: `Rules.anyOrder`.
public struct CBORDecoder: Sendable {
    /// Which encodings are read.
    public enum Rules: Sendable {
        /// The deterministic one only.
        case deterministic
        /// Also maps in any order of distinct keys, and maps and arrays of indefinite length
        /// (RFC 8949 section 3.2.2), for documents whose signature covers the bytes as sent.
        case anyOrder
    }

    /// How deep items may nest: the deepest message (a collection inside Evidence inside a
    /// collection) uses 7; 16 leaves room.
    public static let maxDepth = 16
    /// How many items one message may have: PCR values and a Merkle path come to below 200;
    /// this also bounds the memory that 1 MiB of one-byte items could claim.
    public static let maxItems = 16 * 1024

    private let input: [UInt8]
    private let rules: Rules
    private var offset = 0
    private var items = 0

    /// The one item that `bytes` hold.
    public static func decode(
        _ bytes: [UInt8],
        rules: Rules = .deterministic
    ) throws(CBORError) -> CBORValue {
        var decoder = CBORDecoder(input: bytes, rules: rules)
        let value = try decoder.item(depth: 0)
        guard decoder.offset == bytes.count else { throw decoder.error(.trailingBytes) }
        return value
    }

    private init(input: [UInt8], rules: Rules) {
        self.input = input
        self.rules = rules
    }

    private mutating func item(depth: Int) throws(CBORError) -> CBORValue {
        guard depth < CBORDecoder.maxDepth else { throw error(.tooDeep) }
        items += 1
        guard items <= CBORDecoder.maxItems else { throw error(.tooManyItems) }
        guard let initial = input[safe: offset] else { throw error(.truncated) }
        let major = initial >> 5
        if major == 7 { return try simple(initial) }
        if rules == .anyOrder, initial == 0x9F || initial == 0xBF {
            return try indefinite(initial, depth: depth)
        }
        let argument = try argument()
        switch major {
        case 0: return .unsigned(argument)
        case 1: return .negative(argument)
        case 2: return .bytes(Array(try run(argument)))
        case 3:
            guard let text = String(validating: try run(argument), as: UTF8.self) else {
                throw error(.notText)
            }
            return .text(text)
        case 4: return .array(try array(argument, depth: depth))
        case 5: return .map(try map(argument, depth: depth))
        default: return .tagged(argument, try item(depth: depth + 1))
        }
    }

    private mutating func array(_ count: UInt64, depth: Int) throws(CBORError) -> [CBORValue] {
        // Each item takes at least one byte: a count past what is left is a lie, told cheaply.
        guard count <= UInt64(input.count - offset) else { throw error(.truncated) }
        var values: [CBORValue] = []
        for _ in 0..<count { values.append(try item(depth: depth + 1)) }
        return values
    }

    private mutating func map(
        _ count: UInt64,
        depth: Int
    ) throws(CBORError) -> [CBORValue.Entry] {
        guard count <= UInt64(input.count - offset) / 2 else { throw error(.truncated) }
        var entries: [CBORValue.Entry] = []
        var keys = SeenKeys()
        for _ in 0..<count { entries.append(try entry(&keys, depth: depth)) }
        return entries
    }

    private mutating func indefinite(_ initial: UInt8, depth: Int) throws(CBORError) -> CBORValue {
        offset += 1
        var values: [CBORValue] = []
        var entries: [CBORValue.Entry] = []
        var keys = SeenKeys()
        while input[safe: offset] != 0xFF {
            if initial == 0x9F {
                values.append(try item(depth: depth + 1))
            } else {
                entries.append(try entry(&keys, depth: depth))
            }
        }
        offset += 1
        return initial == 0x9F ? .array(values) : .map(entries)
    }

    // The keys of one map so far: the last under the one rule, all under the other.
    private struct SeenKeys {
        var last: ArraySlice<UInt8>?
        var all: Set<[UInt8]> = []
    }

    private mutating func entry(
        _ keys: inout SeenKeys,
        depth: Int
    ) throws(CBORError) -> CBORValue.Entry {
        let start = offset
        let key = try item(depth: depth + 1)
        let encoded = input[start..<offset]
        switch rules {
        case .deterministic:
            if let last = keys.last, !last.lexicographicallyPrecedes(encoded) {
                throw CBORError(.keyOrder, offset: start)
            }
            keys.last = encoded
        case .anyOrder:
            // The same key may be written twice in different ways: what counts is its value.
            guard keys.all.insert(key.encoded()).inserted else {
                throw CBORError(.keyOrder, offset: start)
            }
        }
        return CBORValue.Entry(key, try item(depth: depth + 1))
    }

    private mutating func argument() throws(CBORError) -> UInt64 {
        let code = input[offset] & 31
        offset += 1
        guard code >= 24 else { return UInt64(code) }
        guard code <= 27 else { throw error(.indefinite) }
        let size = 1 << Int(code - 24)
        let bytes = try run(UInt64(size))
        let value = bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let least: UInt64 = size == 1 ? 24 : 1 << UInt64(4 * size)
        guard value >= least else { throw error(.notShortest) }
        return value
    }

    private mutating func run(_ count: UInt64) throws(CBORError) -> ArraySlice<UInt8> {
        guard count <= UInt64(input.count - offset) else { throw error(.truncated) }
        defer { offset += Int(count) }
        return input[offset..<offset + Int(count)]
    }

    private mutating func simple(_ initial: UInt8) throws(CBORError) -> CBORValue {
        offset += 1
        switch initial {
        case 0xF4: return .bool(false)
        case 0xF5: return .bool(true)
        case 0xF6: return .null
        default: throw error(.unsupported)
        }
    }

    private func error(_ reason: CBORError.Reason) -> CBORError {
        CBORError(reason, offset: offset)
    }
}

/// Why bytes are not an item of deterministic CBOR, and where.
public struct CBORError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The rule that was broken.
    public enum Reason: String, Sendable {
        case truncated = "ends too early"
        case trailingBytes = "has bytes behind the item"
        case tooDeep = "nests too deep"
        case tooManyItems = "has too many items"
        case indefinite = "has an indefinite length"
        case notShortest = "has an integer longer than needed"
        case notText = "has text that is not UTF-8"
        case keyOrder = "has map keys twice or out of order"
        case unsupported = "has a float or simple value"
        case wrongType = "has a value of another type or length"
        case missing = "lacks a field"
        case unknownField = "has a field that is not known"
    }

    /// The rule that was broken.
    public let reason: Reason
    /// Where, in bytes from the start; for a field of a map, its key.
    public let offset: Int

    /// Names a broken rule and its place.
    public init(_ reason: Reason, offset: Int) {
        self.reason = reason
        self.offset = offset
    }

    /// The rule and place in words.
    public var description: String { "CBOR \(reason.rawValue) (at \(offset))" }
}

extension Array {
    subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
