/// The bytes of one run, copied, with choices drawn from their end.
public struct FuzzInput {
    public private(set) var bytes: [UInt8]
    private var state: UInt64 = 0x9E37_79B9_7F4A_7C15

    public init(_ start: UnsafePointer<UInt8>?, _ count: Int) {
        bytes = Array(UnsafeBufferPointer(start: start, count: count))
        for byte in bytes { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }

    /// A number below `bound` that depends on the whole input.
    public mutating func choice(below bound: Int) -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return bound > 0 ? Int(state % UInt64(bound)) : 0
    }

    /// Up to `count` sorted places to cut the input at.
    public mutating func cuts(_ count: Int) -> [Int] {
        (0..<count).map { _ in choice(below: bytes.count + 1) }.sorted()
    }
}

/// Stops the run: the property does not hold.
public func require(_ condition: Bool, _ property: String) {
    if !condition { fatalError("does not hold: \(property)") }
}

/// libFuzzer's own loop, in compiler-rt.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ run: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// Feeds `run` until it crashes or the time of the command line is over.
public func drive(_ run: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt) -> CInt {
    var count = CommandLine.argc
    var arguments = CommandLine.unsafeArgv
    return runDriver(&count, &arguments, run)
}
