/// What a policy accepts for a version with dots in it.
public enum NVIDIAVersion: Sendable, Equatable {
    /// Any version; only ever because a policy says `any`.
    case any
    /// One of these, to the letter; an empty list accepts nothing.
    case oneOf([String])
    /// This one or a later one, number by number from the left.
    case atLeast(String)

    /// Whether `version` is accepted; numbers have this radix: 10 for drivers, 16 for VBIOS.
    func accepts(_ version: String, radix: Int) -> Bool {
        switch self {
        case .any: return true
        case .oneOf(let versions): return versions.contains(version)
        case .atLeast(let least):
            guard let least = NVIDIAVersion.numbers(least, radix: radix),
                let numbers = NVIDIAVersion.numbers(version, radix: radix)
            else { return false }
            return !numbers.lexicographicallyPrecedes(least)
        }
    }

    /// The numbers between the dots, one at least; `nil` when one is not a number.
    public static func numbers(_ version: String, radix: Int) -> [UInt32]? {
        let parts = version.split(separator: ".", omittingEmptySubsequences: false)
        let isPlain = parts.allSatisfy { $0.utf8.first.map { $0 != 0x2B } ?? false }
        let numbers = parts.compactMap { UInt32($0, radix: radix) }
        return isPlain && numbers.count == parts.count ? numbers : nil
    }

    /// In words, for refusals and explanations.
    public var shown: String {
        switch self {
        case .any: "any"
        case .oneOf(let versions): versions.isEmpty ? "nothing" : versions.joined(separator: " or ")
        case .atLeast(let least): "at least \(least)"
        }
    }
}
