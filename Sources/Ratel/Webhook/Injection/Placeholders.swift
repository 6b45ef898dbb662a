internal import Keys

/// `${NAME}` in the texts of a JSON value.
enum Placeholders {
    /// The value with each placeholder replaced; one that stands for nothing stays.
    static func replaced(in value: JSONValue, _ values: [String: String]) -> JSONValue {
        switch value {
        case .string(let text): .string(replaced(in: text, values).text)
        case .array(let items): .array(items.map { replaced(in: $0, values) })
        case .object(let members):
            .object(members.map { JSONValue.Member($0.name, replaced(in: $0.value, values)) })
        case .null, .bool, .number: value
        }
    }

    /// The first placeholder that stands for nothing.
    static func unknown(in value: JSONValue, _ values: [String: String]) -> String? {
        switch value {
        case .string(let text): replaced(in: text, values).unknown
        case .array(let items): items.lazy.compactMap { unknown(in: $0, values) }.first
        case .object(let members):
            members.lazy.compactMap { unknown(in: $0.value, values) }.first
        case .null, .bool, .number: nil
        }
    }

    // What was put in is not looked at again.
    private static func replaced(
        in text: String, _ values: [String: String]
    ) -> (text: String, unknown: String?) {
        var output = ""
        var unknown: String?
        var rest = text[...]
        while let start = rest.firstRange(of: "${") {
            output += rest[..<start.lowerBound]
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else {
                return (output + rest[start.lowerBound...], unknown ?? String(rest))
            }
            let name = String(rest[start.upperBound..<end])
            if let value = values[name] {
                output += value
            } else {
                output += rest[start.lowerBound...end]
                unknown = unknown ?? name
            }
            rest = rest[rest.index(after: end)...]
        }
        return (output + rest, unknown)
    }
}
