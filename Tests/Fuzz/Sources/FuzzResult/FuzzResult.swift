import FuzzSupport
import Glibc
import Keys
import RATS

@testable import Appraisal

@main struct FuzzResult {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// Tokens of other Verifiers, and key sets; the first byte chooses which. No token is signed by a
/// key that is pinned, so none may pass.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = FuzzInput(start, count)
    guard let choice = input.bytes.first else { return 0 }
    let bytes = Array(input.bytes.dropFirst())
    if choice % 2 == 0 {
        guard let keys = try? VerifierKeys(parsing: bytes) else { return 0 }
        require(!keys.keys.isEmpty, "a set without a key")
        return 0
    }
    guard let token = try? ResultToken(bytes) else { return 0 }
    _ = token.claims
    _ = try? token.check(covers: [1])
    let holds: Void? = try? token.check(VerifierKeys([VerifierKeys]()), now: 1_800_000_000)
    require(holds == nil, "a signature by nobody")
    return 0
}
