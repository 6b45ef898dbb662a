import Appraisal
import FuzzSupport
import Glibc

@main struct FuzzTPM {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// The structures of a TPM and its event log; the first byte chooses which.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = FuzzInput(start, count)
    guard let choice = input.bytes.first else { return 0 }
    let bytes = Array(input.bytes.dropFirst())
    switch choice & 3 {
    case 0: _ = try? TPMSAttest(bytes)
    case 1: _ = try? TPMTPublic(bytes)
    case 2: _ = try? TPMTSignature(bytes)
    default:
        guard let log = try? EventLog(bytes) else { return 0 }
        for bank in PCRBank.allCases { _ = try? log.replay(bank) }
    }
    return 0
}
