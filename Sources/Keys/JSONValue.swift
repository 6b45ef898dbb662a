/// One JSON value (RFC 8259); members keep their order, numbers their spelling.
public indirect enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A number as it was written, which is a valid JSON number.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([Member])

    /// One name with its value.
    public struct Member: Sendable, Equatable {
        /// The name.
        public let name: String
        /// The value.
        public let value: JSONValue

        /// Pairs a name with its value.
        public init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// An object with these members in this order.
    public static func members(_ pairs: [(String, JSONValue)]) -> JSONValue {
        .object(pairs.map { Member($0, $1) })
    }

    /// A whole number.
    public static func integer(_ value: some BinaryInteger) -> JSONValue { .number("\(value)") }

    /// The value of the member `name`, or `nil` if this is no object or has none.
    public subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// The characters, if this is a string.
    public var text: String? { if case .string(let value) = self { value } else { nil } }
    /// The items, if this is an array.
    public var items: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    /// The members, if this is an object.
    public var members: [Member]? { if case .object(let value) = self { value } else { nil } }
    /// The number, if this is a whole one that fits.
    public var integer: Int? { if case .number(let value) = self { Int(value) } else { nil } }

    /// The text without spaces, or with two-space indentation if `pretty`.
    public func serialised(pretty: Bool = false) -> String {
        var output = ""
        write(to: &output, indent: pretty ? 0 : nil)
        return output
    }

    private func write(to output: inout String, indent: Int?) {
        switch self {
        case .null: output += "null"
        case .bool(let value): output += value ? "true" : "false"
        case .number(let value): output += value
        case .string(let value): JSONValue.quote(value, to: &output)
        case .array(let values):
            JSONValue.list("[", "]", values, to: &output, indent: indent) { value, output, inner in
                value.write(to: &output, indent: inner)
            }
        case .object(let members):
            JSONValue.list("{", "}", members, to: &output, indent: indent) {
                member,
                output,
                inner in
                JSONValue.quote(member.name, to: &output)
                output += inner == nil ? ":" : ": "
                member.value.write(to: &output, indent: inner)
            }
        }
    }

    private static func list<Item>(
        _ open: String,
        _ close: String,
        _ items: [Item],
        to output: inout String,
        indent: Int?,
        _ each: (Item, inout String, Int?) -> Void
    ) {
        output += open
        let inner = indent.map { $0 + 2 }
        for (index, item) in items.enumerated() {
            if index > 0 { output += "," }
            if let inner { output += "\n" + String(repeating: " ", count: inner) }
            each(item, &output, inner)
        }
        if let indent, !items.isEmpty { output += "\n" + String(repeating: " ", count: indent) }
        output += close
    }

    private static func quote(_ text: String, to output: inout String) {
        output += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": output += "\\\""
            case "\\": output += "\\\\"
            case "\n": output += "\\n"
            case "\r": output += "\\r"
            case "\t": output += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                output += "\\u00" + Hex.encode([UInt8(scalar.value)])
            default: output.unicodeScalars.append(scalar)
            }
        }
        output += "\""
    }
}
