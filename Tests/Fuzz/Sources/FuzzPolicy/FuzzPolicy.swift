import Appraisal
import FuzzSupport
import Glibc
import Policy

@main struct FuzzPolicy {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// Policies: the same text is read the same way, and only the written word admits anybody.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = FuzzInput(start, count)
    guard let policy = try? PolicyLoader.load(bytes: input.bytes) else { return 0 }
    let again = try? PolicyLoader.load(bytes: input.bytes)
    require(again?.digest == policy.digest, "one digest")
    if policy.isAnonymous {
        let text = String(decoding: input.bytes, as: UTF8.self)
        require(text.contains("anonymous") || text.contains("\\"), "the word is written")
    }
    return 0
}
