/// Reads one JSON text strictly: RFC 8259 with no extension, and no name twice in an object.
public struct JSONParser: Sendable {
    /// How deep values may nest; a configuration nests 4 to 6 deep.
    public static let maxDepth = 32
    /// How many values there may be: the largest TCB infos and tokens have some thousand, and each
    /// costs as much as a hundred bytes of text.
    public static let maxValues = 8_192
    /// From how many names on a set finds them faster than a look at each.
    private static let manyNames = 16

    /// Why there is no value.
    public enum Trouble: Error, Sendable {
        /// The bytes are not a JSON text, or have a name twice in an object.
        case malformed
        /// Values nest deeper than `maxDepth`.
        case tooDeep
        /// There are more than `maxValues`.
        case tooManyValues
    }

    private let input: [UInt8]
    private var offset = 0
    private var count = 0
    private var trouble = Trouble.malformed

    /// The one value that `bytes` hold, or `nil` if they are not a JSON text within the limits.
    public static func parse(_ bytes: [UInt8]) -> JSONValue? { try? read(bytes) }

    /// The same, for whoever says why there is none.
    public static func read(_ bytes: [UInt8]) throws(Trouble) -> JSONValue {
        var parser = JSONParser(input: bytes)
        parser.skipSpace()
        guard let value = parser.value(depth: 0) else { throw parser.trouble }
        parser.skipSpace()
        guard parser.offset == bytes.count else { throw .malformed }
        return value
    }

    private init(input: [UInt8]) { self.input = input }

    private var next: UInt8? { input[safe: offset] }

    private mutating func value(depth: Int) -> JSONValue? {
        count += 1
        guard depth < JSONParser.maxDepth else { return refuse(.tooDeep) }
        guard count <= JSONParser.maxValues else { return refuse(.tooManyValues) }
        guard let next else { return nil }
        switch next {
        case UInt8(ascii: "{"): return object(depth: depth)
        case UInt8(ascii: "["): return array(depth: depth)
        case UInt8(ascii: "\""): return string().map { .string($0) }
        case UInt8(ascii: "t"): return literal("true", .bool(true))
        case UInt8(ascii: "f"): return literal("false", .bool(false))
        case UInt8(ascii: "n"): return literal("null", .null)
        default: return number()
        }
    }

    private mutating func refuse(_ trouble: Trouble) -> JSONValue? {
        self.trouble = trouble
        return nil
    }

    private mutating func object(depth: Int) -> JSONValue? {
        offset += 1
        var members: [JSONValue.Member] = []
        var names: Set<String> = []
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object([]) }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\""), let name = string() else { return nil }
            if members.count < JSONParser.manyNames {
                guard !members.contains(where: { $0.name == name }) else { return nil }
            } else {
                if names.isEmpty { names = Set(members.map(\.name)) }
                guard names.insert(name).inserted else { return nil }
            }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { return nil }
            skipSpace()
            guard let value = value(depth: depth + 1) else { return nil }
            members.append(JSONValue.Member(name, value))
            skipSpace()
            if take(UInt8(ascii: "}")) { return .object(members) }
            guard take(UInt8(ascii: ",")) else { return nil }
        }
    }

    private mutating func array(depth: Int) -> JSONValue? {
        offset += 1
        var values: [JSONValue] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array([]) }
        while true {
            skipSpace()
            guard let value = value(depth: depth + 1) else { return nil }
            values.append(value)
            skipSpace()
            if take(UInt8(ascii: "]")) { return .array(values) }
            guard take(UInt8(ascii: ",")) else { return nil }
        }
    }

    private mutating func string() -> String? {
        offset += 1
        let start = offset
        // Most are ASCII without escapes, and are taken as they stand.
        while let byte = next, (0x20..<0x80).contains(byte), byte != UInt8(ascii: "\""),
            byte != UInt8(ascii: "\\")
        {
            offset += 1
        }
        if next == UInt8(ascii: "\"") {
            defer { offset += 1 }
            return String(decoding: input[start..<offset], as: UTF8.self)
        }
        var bytes = Array(input[start..<offset])
        while let byte = next {
            offset += 1
            switch byte {
            case UInt8(ascii: "\""): return String(validating: bytes, as: UTF8.self)
            case UInt8(ascii: "\\"): guard escape(into: &bytes) else { return nil }
            case 0..<0x20: return nil
            default: bytes.append(byte)
            }
        }
        return nil
    }

    private mutating func escape(into bytes: inout [UInt8]) -> Bool {
        guard let code = next else { return false }
        offset += 1
        switch code {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(code)
        case UInt8(ascii: "b"): bytes.append(8)
        case UInt8(ascii: "f"): bytes.append(12)
        case UInt8(ascii: "n"): bytes.append(10)
        case UInt8(ascii: "r"): bytes.append(13)
        case UInt8(ascii: "t"): bytes.append(9)
        case UInt8(ascii: "u"):
            guard let scalar = escapedScalar() else { return false }
            bytes += String(Character(scalar)).utf8
        default: return false
        }
        return true
    }

    private mutating func escapedScalar() -> Unicode.Scalar? {
        guard let first = fourDigits() else { return nil }
        guard 0xD800..<0xDC00 ~= first else { return Unicode.Scalar(first) }
        guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")), let second = fourDigits(),
            0xDC00..<0xE000 ~= second
        else { return nil }
        return Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
    }

    private mutating func fourDigits() -> UInt32? {
        guard offset + 4 <= input.count,
            let pair = Hex.decode(String(decoding: input[offset..<offset + 4], as: UTF8.self))
        else { return nil }
        offset += 4
        return UInt32(pair[0]) << 8 | UInt32(pair[1])
    }

    private mutating func number() -> JSONValue? {
        let start = offset
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) { guard digits() else { return nil } }
        if take(UInt8(ascii: ".")) { guard digits() else { return nil } }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            _ = take(UInt8(ascii: "+")) || take(UInt8(ascii: "-"))
            guard digits() else { return nil }
        }
        return .number(String(decoding: input[start..<offset], as: UTF8.self))
    }

    private mutating func digits() -> Bool {
        let start = offset
        while let next, UInt8(ascii: "0")...UInt8(ascii: "9") ~= next { offset += 1 }
        return offset > start
    }

    private mutating func literal(_ word: String, _ value: JSONValue) -> JSONValue? {
        for byte in word.utf8 { guard take(byte) else { return nil } }
        return value
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        offset += 1
        return true
    }

    private mutating func skipSpace() {
        while let next, next == 32 || next == 9 || next == 10 || next == 13 { offset += 1 }
    }
}
