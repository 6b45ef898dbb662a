internal import Keys

/// The claims of a CBOR Web Token as JSON.
enum ClaimNames {
    // RFC 8392 section 4 and RFC 9711 section 4 (EAT).
    private static let names: [UInt64: String] = [
        1: "iss", 2: "sub", 3: "aud", 4: "exp", 5: "nbf", 6: "iat", 7: "cti", 10: "eat_nonce",
        265: "eat_profile", 266: "submods",
    ]

    /// `value` in JSON: byte strings in hexadecimal, keys that are numbers by name where the claims
    /// outermost have one, else in digits.
    static func json(_ value: CBORValue, isOutermost: Bool = false) -> JSONValue {
        switch value {
        case .unsigned(let number): .integer(number)
        case .negative(let number): .number("-\(UInt128(number) + 1)")
        case .bytes(let bytes): .string(Hex.encode(bytes))
        case .text(let text): .string(text)
        case .array(let items): .array(items.map { json($0) })
        case .map(let entries):
            .object(entries.map { .init(name($0.key, isOutermost), json($0.value)) })
        case .tagged(_, let inner): json(inner)
        case .bool(let flag): .bool(flag)
        case .null: .null
        }
    }

    private static func name(_ key: CBORValue, _ isOutermost: Bool) -> String {
        switch key {
        case .text(let text): text
        case .unsigned(let number): (isOutermost ? names[number] : nil) ?? "\(number)"
        case .negative(let number): "-\(UInt128(number) + 1)"
        default: json(key).serialised()
        }
    }
}
