import FuzzSupport
import Glibc
import Keys
import RATS

@testable import Appraisal

@main struct FuzzCCA {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// Tokens, their two payloads, and the map they travel in; the first byte chooses which.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = FuzzInput(start, count)
    guard let choice = input.bytes.first else { return 0 }
    let bytes = Array(input.bytes.dropFirst())
    switch choice % 4 {
    case 0: token(bytes)
    case 1: _ = try? CCAPlatform(bytes)
    case 2:
        guard let realm = try? CCARealm(bytes) else { return 0 }
        require(realm.challenge.count == 64 && realm.extensible.count == 4, "lengths")
        require(realm.key.algorithm == .p384, "P-384")
    default:
        let binding = Appraiser.ExpectedBinding(
            reportData: [UInt8](repeating: 0, count: 64),
            tpmQualifyingData: [UInt8](repeating: 0, count: 32)
        )
        let evidence = try? CCAEvidence.authenticate(
            Evidence(.cca, bytes: bytes), expected: binding)
        require(evidence == nil, "no signature holds")
    }
    return 0
}

func token(_ bytes: [UInt8]) {
    guard let token = try? CCAToken(bytes) else { return }
    _ = token.claims
    require((try? token.checkSignatures(token.realm.key)) == nil, "no signature holds")
    _ = try? token.checkLifecycle()
}
