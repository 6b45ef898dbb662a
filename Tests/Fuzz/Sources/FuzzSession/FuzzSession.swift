import FuzzSupport
import Glibc
import Keys
import RATLS
import RATS

@main struct FuzzSession {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// Recorded Evidence: what is read is written as the same again, and looking at it ends.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = FuzzInput(start, count)
    guard let value = JSONParser.parse(input.bytes),
        let evidence = try? SessionEvidence(reading: value)
    else { return 0 }
    let again = try? SessionEvidence(reading: evidence.json)
    require(again == evidence, "written as it was read")
    _ = evidence.job(under: nil).run()
    return 0
}
