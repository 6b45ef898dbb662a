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
        case .group(let claims): claims.json
        }
    }
}

extension Claims {
    /// An object with the claims in their order; a dot in a name stands for an object inside.
    public var json: JSONValue {
        Claims.nested(entries.map { ($0.name.split(separator: ".")[...], $0.value.json) })
    }

    private static func nested(
        _ items: [(path: ArraySlice<Substring>, value: JSONValue)]
    ) -> JSONValue {
        var order: [Substring] = []
        var groups: [Substring: [(path: ArraySlice<Substring>, value: JSONValue)]] = [:]
        for item in items {
            guard let name = item.path.first else { continue }
            if groups[name] == nil { order.append(name) }
            groups[name, default: []].append((item.path.dropFirst(), item.value))
        }
        return .members(
            order.map { name in
                let group = groups[name] ?? []
                // A value and an object cannot share a name: the value is then called `value`.
                if group.count == 1, group[0].path.isEmpty { return (String(name), group[0].value) }
                return (
                    String(name),
                    nested(group.map { ($0.path.isEmpty ? ["value"] : $0.path, $0.value) })
                )
            })
    }
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
