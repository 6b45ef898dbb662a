import FuzzSupport
import Glibc
import Keys

@main struct FuzzJSON {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// JSON of a peer: the effective configuration.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    _ = JSONParser.parse(FuzzInput(start, count).bytes)
    return 0
}
