/// One CBOR data item (RFC 8949) of the kinds that Ratel uses: no floats, no undefined.
public indirect enum CBORValue: Sendable, Equatable {
    /// An integer of 0 or more.
    case unsigned(UInt64)
    /// The integer −1 − n.
    case negative(UInt64)
    /// A byte string.
    case bytes([UInt8])
    /// A text string, UTF-8.
    case text(String)
    /// An array.
    case array([CBORValue])
    /// A map; the order of the entries does not matter, the encoder sorts them.
    case map([Entry])
    /// A tagged item.
    case tagged(UInt64, CBORValue)
    /// `true` or `false`.
    case bool(Bool)
    /// `null`.
    case null

    /// One pair of a map.
    public struct Entry: Sendable, Equatable {
        /// The key.
        public let key: CBORValue
        /// The value.
        public let value: CBORValue

        /// Pairs a key with its value.
        public init(_ key: CBORValue, _ value: CBORValue) {
            self.key = key
            self.value = value
        }
    }

    /// A map with small integer keys; entries with `nil` are left out.
    public static func fields(_ pairs: [(UInt64, CBORValue?)]) -> CBORValue {
        .map(pairs.compactMap { key, value in value.map { Entry(.unsigned(key), $0) } })
    }

    /// A map with text keys.
    public static func named(_ pairs: [(String, CBORValue)]) -> CBORValue {
        .map(pairs.map { Entry(.text($0), $1) })
    }

    /// The deterministic encoding, RFC 8949 section 4.2.1; traps on a map with a key twice.
    public func encoded() -> [UInt8] {
        var output: [UInt8] = []
        encode(into: &output)
        return output
    }

    private func encode(into output: inout [UInt8]) {
        switch self {
        case .unsigned(let value):
            CBORValue.head(0, value, into: &output)
        case .negative(let value):
            CBORValue.head(1, value, into: &output)
        case .bytes(let bytes):
            CBORValue.head(2, UInt64(bytes.count), into: &output)
            output += bytes
        case .text(let text):
            CBORValue.head(3, UInt64(text.utf8.count), into: &output)
            output += text.utf8
        case .array(let items):
            CBORValue.head(4, UInt64(items.count), into: &output)
            for item in items { item.encode(into: &output) }
        case .map(let entries):
            CBORValue.head(5, UInt64(entries.count), into: &output)
            let sorted = entries.map { ($0.key.encoded(), $0.value) }
                .sorted { $0.0.lexicographicallyPrecedes($1.0) }
            for (index, (key, value)) in sorted.enumerated() {
                precondition(index == 0 || sorted[index - 1].0 != key, "a CBOR key twice")
                output += key
                value.encode(into: &output)
            }
        case .tagged(let tag, let item):
            CBORValue.head(6, tag, into: &output)
            item.encode(into: &output)
        case .bool(let value):
            output.append(value ? 0xF5 : 0xF4)
        case .null:
            output.append(0xF6)
        }
    }

    private static func head(_ major: UInt8, _ value: UInt64, into output: inout [UInt8]) {
        let size: Int
        let code: UInt8
        switch value {
        case 0..<24: (size, code) = (0, UInt8(value))
        case ...0xFF: (size, code) = (1, 24)
        case ...0xFFFF: (size, code) = (2, 25)
        case ...0xFFFF_FFFF: (size, code) = (4, 26)
        default: (size, code) = (8, 27)
        }
        output.append(major << 5 | code)
        for place in stride(from: size - 1, through: 0, by: -1) {
            output.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * place)))
        }
    }
}

extension CBORValue {
    /// The number, if this is one that is not negative.
    public var number: UInt64? { if case .unsigned(let value) = self { value } else { nil } }
    /// The bytes, if this is a byte string.
    public var byteString: [UInt8]? { if case .bytes(let value) = self { value } else { nil } }
    /// The characters, if this is a text string.
    public var textString: String? { if case .text(let value) = self { value } else { nil } }
    /// The items, if this is an array.
    public var items: [CBORValue]? { if case .array(let value) = self { value } else { nil } }
    /// The entries, if this is a map.
    public var entries: [Entry]? { if case .map(let value) = self { value } else { nil } }
}
