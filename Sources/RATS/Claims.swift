/// Claims decoded from Evidence, in their order and under the names that the vendor uses.
public struct Claims: Sendable, Equatable {
    /// The value of a claim.
    public indirect enum Value: Sendable, Equatable {
        case text(String)
        case bytes([UInt8])
        case number(UInt64)
        case flag(Bool)
        case list([Value])
        case group(Claims)

        /// The value for people: hexadecimal for bytes, yes or no for flags.
        public var shown: String {
            switch self {
            case .text(let text): Refusal.printable(text, limit: 4096)
            case .bytes(let bytes): Claims.hex(bytes)
            case .number(let number): "\(number)"
            case .flag(let flag): flag ? "yes" : "no"
            case .list(let values): values.map(\.shown).joined(separator: ", ")
            case .group(let claims):
                claims.rows.map { "\($0.name) \($0.text)" }.joined(separator: "; ")
            }
        }
    }

    /// One name with its value.
    public struct Claim: Sendable, Equatable {
        /// The vendor's name, dotted where values nest.
        public let name: String
        /// The value.
        public let value: Value
    }

    /// The claims in order.
    public private(set) var entries: [Claim] = []

    /// No claims.
    public init() {}

    /// Appends a claim; a name that is there already is replaced in its place.
    public mutating func set(_ name: String, _ value: Value) {
        let claim = Claim(name: name, value: value)
        if let index = entries.firstIndex(where: { $0.name == name }) {
            entries[index] = claim
        } else {
            entries.append(claim)
        }
    }

    /// Appends all of `other`, each name under `prefix` and a dot where there is one.
    public mutating func append(_ other: Claims, under prefix: String? = nil) {
        for entry in other.entries {
            set(prefix.map { "\($0).\(entry.name)" } ?? entry.name, entry.value)
        }
    }

    /// The claims whose names begin with `prefix` and a dot, without it.
    public func all(under prefix: String) -> Claims {
        var claims = Claims()
        for entry in entries where entry.name.hasPrefix(prefix + ".") {
            claims.set(String(entry.name.dropFirst(prefix.count + 1)), entry.value)
        }
        return claims
    }

    /// The value of the claim `name`, or `nil` if there is none.
    public subscript(_ name: String) -> Value? { entries.first { $0.name == name }?.value }

    /// Name and text of each claim, for a table.
    public var rows: [(name: String, text: String)] {
        entries.map { entry in
            let text = entry.value.shown
            return (entry.name, text.isEmpty ? "none" : text)
        }
    }

    /// Lower-case hexadecimal.
    static func hex(_ bytes: [UInt8]) -> String {
        var text = ""
        for byte in bytes {
            if byte < 16 { text += "0" }
            text += String(byte, radix: 16)
        }
        return text
    }
}
