public import Keys
public import RATS

extension Refusal {
    /// An object with every part under its name, for HTTP bodies and `--json`.
    public var json: JSONValue {
        .members(parts.map { ($0.name, .string($0.text)) })
    }
}

extension Claims.Value {
    /// The value: bytes in hexadecimal.
    public var json: JSONValue {
        switch self {
        case .text(let text): .string(text)
        case .bytes(let bytes): .string(Hex.encode(bytes))
        // Beyond 2^53 a number would be read as another one by many readers.
        case .number(let number): number < 1 << 53 ? .integer(number) : .string("\(number)")
        case .flag(let flag): .bool(flag)
        case .list(let values): .array(values.map(\.json))
        }
    }
}

extension Claims {
    /// An object with the claims in their order.
    public var json: JSONValue { .members(entries.map { ($0.name, $0.value.json) }) }
}

extension AuthenticEvidence {
    /// An object with format, index and claims.
    public var json: JSONValue {
        .members([
            ("format", .string(format.rawValue)), ("index", .integer(index)),
            ("claims", claims.json),
        ])
    }
}

extension AttestationResult {
    /// An object with everything that the result says.
    public var json: JSONValue {
        .members([
            ("peer", .string(peer)), ("tier", .string(tier.rawValue)),
            ("policy", .string(Hex.encode(policyDigest))), ("simulated", .bool(isSimulated)),
            ("appraised_at", .integer(appraisedAt)), ("max_age", .integer(maxAge)),
            ("evidence", .array(evidence.map(\.json))),
            ("configuration", JSONParser.parse(configuration) ?? .null),
        ])
    }
}
