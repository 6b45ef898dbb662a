/// A map with integer keys, read field by field; keys that were not announced are refused.
public struct CBORFields: Sendable {
    private let values: [UInt64: CBORValue]

    /// Takes a map whose keys are all among `allowed`.
    public init(_ value: CBORValue, allowed: Set<UInt64>) throws(CBORError) {
        guard let entries = value.entries else { throw CBORError(.wrongType, offset: 0) }
        var values: [UInt64: CBORValue] = [:]
        for entry in entries {
            guard let key = entry.key.number, allowed.contains(key) else {
                let shown = entry.key.number.flatMap { Int(exactly: $0) } ?? -1
                throw CBORError(.unknownField, offset: shown)
            }
            guard values.updateValue(entry.value, forKey: key) == nil else {
                throw CBORError(.keyOrder, offset: Int(key))
            }
        }
        self.values = values
    }

    /// Decodes `bytes` and takes the map they hold.
    public init(decoding bytes: [UInt8], allowed: Set<UInt64>) throws(CBORError) {
        try self.init(CBORDecoder.decode(bytes), allowed: allowed)
    }

    /// Whether there is no field at all.
    public var isEmpty: Bool { values.isEmpty }

    /// The value under `key`, or `nil` if there is none.
    public func optional(_ key: UInt64) -> CBORValue? { values[key] }

    /// The byte string under `key`, of exactly `count` bytes if that is given.
    public func bytes(_ key: UInt64, count: Int? = nil) throws(CBORError) -> [UInt8] {
        guard let bytes = try need(key).byteString, count == nil || bytes.count == count else {
            throw wrongType(key)
        }
        return bytes
    }

    /// The byte string under `key` if there is that field.
    public func optionalBytes(_ key: UInt64) throws(CBORError) -> [UInt8]? {
        values[key] == nil ? nil : try bytes(key)
    }

    /// The number under `key`, at most `limit`.
    public func number(_ key: UInt64, limit: UInt64 = .max) throws(CBORError) -> UInt64 {
        guard let number = try need(key).number, number <= limit else { throw wrongType(key) }
        return number
    }

    /// The text under `key`.
    public func text(_ key: UInt64) throws(CBORError) -> String {
        guard let text = try need(key).textString else { throw wrongType(key) }
        return text
    }

    /// The array under `key`, of at most `limit` items.
    public func array(_ key: UInt64, limit: Int) throws(CBORError) -> [CBORValue] {
        guard let items = try need(key).items, items.count <= limit else { throw wrongType(key) }
        return items
    }

    /// The array of byte strings under `key`, each of exactly `size` bytes.
    public func byteStrings(_ key: UInt64, size: Int, limit: Int) throws(CBORError) -> [[UInt8]] {
        var strings: [[UInt8]] = []
        for item in try array(key, limit: limit) {
            guard let bytes = item.byteString, bytes.count == size else { throw wrongType(key) }
            strings.append(bytes)
        }
        return strings
    }

    private func need(_ key: UInt64) throws(CBORError) -> CBORValue {
        guard let value = values[key] else { throw CBORError(.missing, offset: Int(key)) }
        return value
    }

    private func wrongType(_ key: UInt64) -> CBORError { CBORError(.wrongType, offset: Int(key)) }
}
