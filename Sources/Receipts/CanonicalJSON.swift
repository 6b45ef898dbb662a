public import Keys

/// JSON in one spelling, so that a signature over it is a signature over its meaning: RFC 8785
/// (JCS), for whole numbers alone.
public enum CanonicalJSON {
    /// The largest number that every reader of JSON has exactly: 2^53 − 1 (RFC 7493 section 2.2).
    public static let maxNumber = 9_007_199_254_740_991

    /// The canonical bytes of `value`.
    ///
    /// Errors: `malformed` for a number that is not a whole one of at most 2^53 − 1 in magnitude
    /// (prices and counts have no fractions here), or a name that stands twice in an object.
    public static func encode(_ value: JSONValue) throws(KeyError) -> [UInt8] {
        var output: [UInt8] = []
        try write(value, to: &output)
        return output
    }

    /// Reads bytes that must be canonical; nil for any others.
    public static func decode(_ bytes: [UInt8]) -> JSONValue? {
        guard let value = JSONParser.parse(bytes), (try? encode(value)) == bytes else { return nil }
        return value
    }

    private static func write(
        _ value: JSONValue, to output: inout [UInt8]
    ) throws(KeyError) {
        switch value {
        case .null: output += Array("null".utf8)
        case .bool(let isTrue): output += Array((isTrue ? "true" : "false").utf8)
        case .number(let text): output += Array(try number(text).utf8)
        case .string(let text): quote(text, to: &output)
        case .array(let items):
            output.append(UInt8(ascii: "["))
            for (index, item) in items.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                try write(item, to: &output)
            }
            output.append(UInt8(ascii: "]"))
        case .object(let members): try write(members, to: &output)
        }
    }

    private static func write(
        _ members: [JSONValue.Member], to output: inout [UInt8]
    ) throws(KeyError) {
        // Section 3.2.3: by UTF-16 code units.
        let sorted = members.sorted { $0.name.utf16.lexicographicallyPrecedes($1.name.utf16) }
        output.append(UInt8(ascii: "{"))
        for (index, member) in sorted.enumerated() {
            if index > 0 {
                guard sorted[index - 1].name != member.name else {
                    throw KeyError(.malformed, "canonical JSON: a name twice: \(member.name)")
                }
                output.append(UInt8(ascii: ","))
            }
            quote(member.name, to: &output)
            output.append(UInt8(ascii: ":"))
            try write(member.value, to: &output)
        }
        output.append(UInt8(ascii: "}"))
    }

    private static func number(_ text: String) throws(KeyError) -> String {
        guard let number = Int(text), abs(number) <= maxNumber else {
            throw KeyError(.malformed, "canonical JSON: not a whole number below 2^53: \(text)")
        }
        // `-0` is 0 there (section 3.2.2.3).
        return String(number)
    }

    // Section 3.2.2.2: only what must be escaped is, in the shortest form.
    private static func quote(_ text: String, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): output += [UInt8(ascii: "\\"), byte]
            case 0x08: output += Array("\\b".utf8)
            case 0x09: output += Array("\\t".utf8)
            case 0x0A: output += Array("\\n".utf8)
            case 0x0C: output += Array("\\f".utf8)
            case 0x0D: output += Array("\\r".utf8)
            case 0..<0x20: output += Array(("\\u00" + Hex.encode([byte])).utf8)
            default: output.append(byte)
            }
        }
        output.append(UInt8(ascii: "\""))
    }
}
