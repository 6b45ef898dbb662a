import FuzzCertificates
import FuzzSupport
import Glibc
import Keys

@main struct FuzzOCSP {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// OCSP answers about a certificate whose issuer signs nothing: none says anything of it.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = FuzzInput(start, count).bytes
    guard let certificate = ForgedCertificate.with([]) else { return 0 }
    let status = try? StatusAnswer.statement(
        of: certificate, issuer: certificate, in: bytes, intermediates: [certificate],
        anchor: certificate, now: 1_800_000_000)
    require(status == nil || status == .some(nil), "no signature holds")
    return 0
}
