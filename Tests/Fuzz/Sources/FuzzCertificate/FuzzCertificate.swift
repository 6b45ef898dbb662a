import FuzzSupport
import Glibc
import Keys

@main struct FuzzCertificate {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// Certificates of peers and of TPMs.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = FuzzInput(start, count)
    if let certificate = try? Certificate(der: input.bytes) {
        _ = certificate.extension("2.23.133.5.4.9")
        _ = certificate.extension("2.5.29.17")
    }
    if count < 4096 { _ = try? Certificate.read(pem: String(decoding: input.bytes, as: UTF8.self)) }
    return 0
}
