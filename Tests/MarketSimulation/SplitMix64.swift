/// A generator that gives the same numbers from the same seed on every machine (Steele, Lea and
/// Flood 2014).
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    /// A whole number, each as likely as the others up to 2⁻⁴⁰; what the standard library draws
    /// may change with its version.
    mutating func number(_ range: ClosedRange<Int64>) -> Int64 {
        let size = UInt64(range.upperBound - range.lowerBound) + 1
        return range.lowerBound + Int64(next().multipliedFullWidth(by: size).high)
    }

    /// True `parts` times in a thousand.
    mutating func chance(_ parts: Int64) -> Bool { number(0...999) < parts }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next() >> 32) }
    }
}
