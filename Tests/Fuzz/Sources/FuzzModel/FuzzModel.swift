import FuzzSupport
import Glibc
import HTTP
import Keys

@main struct FuzzModel {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// What the scanner finds without waiting for the end is what the parser finds in the whole.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    var scanner = ModelScanner()
    let whole = scanner.scan(input.bytes.span, 0..<input.bytes.count)
    var pieces = ModelScanner()
    var last = 0
    for cut in input.cuts(4) + [input.bytes.count] {
        _ = pieces.scan(input.bytes.span, last..<cut)
        last = cut
    }
    require(pieces.finding == whole, "a split changes nothing")
    guard let value = JSONParser.parse(input.bytes) else { return 0 }
    if let name = value["model"]?.text, !name.isEmpty, name.utf8.count <= ModelScanner.maxName {
        require(whole == .found(name), "found where it is")
    } else {
        require(whole == .absent, "absent where it is not")
    }
    return 0
}
