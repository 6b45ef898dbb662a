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

/// Tokens of other Verifiers, key sets, and manifests of Reference Values; the first byte chooses
/// which. Nothing is signed by a key that is pinned, so nothing signed may pass.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = FuzzInput(start, count)
    guard let choice = input.bytes.first else { return 0 }
    let bytes = Array(input.bytes.dropFirst())
    if choice % 3 == 2 {
        let nobody = VerifierKeys([VerifierKeys]())
        require((try? CoRIM(bytes, signedBy: nobody)) == nil, "a signature by nobody")
        guard let manifest = try? CoRIM(bytes, signedBy: nil) else { return 0 }
        for measurement in manifest.measurements {
            let isHash = measurement.digests.allSatisfy { [32, 48, 64].contains($0.count) }
            require(isHash, "a digest of another length")
        }
        return 0
    }
    if choice % 3 == 0 {
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
