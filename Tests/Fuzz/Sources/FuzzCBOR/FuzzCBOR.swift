import FuzzSupport
import Glibc
import Keys

@main struct FuzzCBOR {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// What is decoded is encoded to the very same bytes: there is one encoding of each value.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = FuzzInput(start, count)
    guard let value = try? CBORDecoder.decode(input.bytes) else { return 0 }
    require(value.encoded() == input.bytes, "deterministic")
    return 0
}
