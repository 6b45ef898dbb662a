internal import Bytes

/// Certificates that were read lately: the same authorities stand in every quote, and reading one
/// takes longer than checking a signature. Nothing is trusted for being here.
enum CertificateMemory {
    /// Some KiB each: the chains of some tens of platforms.
    private static let capacity = 256

    private static let kept = Locked<[[UInt8]: Certificate]>([:])

    /// The certificate with this encoding, read now or earlier.
    static func certificate(_ der: [UInt8]) throws(KeyError) -> Certificate {
        if let known = kept.withLock({ $0[der] }) { return known }
        let certificate = try Certificate(der: der)
        kept.withLock { kept in
            if kept.count >= capacity, let victim = kept.keys.first { kept[victim] = nil }
            kept[der] = certificate
        }
        return certificate
    }
}
