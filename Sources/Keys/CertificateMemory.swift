/// Certificates that were read lately: the same authorities stand in every quote, and reading one
/// takes longer than checking a signature. Nothing is trusted for being here.
enum CertificateMemory {
    /// Certificates of platforms and authorities have 1 to 2 KiB; those with Evidence in them come
    /// once. All that is kept has at most 2 MiB, whoever sent it.
    private static let longest = 8 * 1024
    private static let kept: Remembered<Certificate> = VerificationMemory.memory(capacity: 256)

    /// Texts of two or three certificates have 3 to 5 KiB: 1 MiB in all.
    private static let texts: Remembered<[Certificate]> = VerificationMemory.memory(capacity: 128)

    /// The certificate with this encoding, read now or earlier.
    static func certificate(_ der: [UInt8]) throws(KeyError) -> Certificate {
        if let known = kept.value(der) { return known }
        let certificate = try Certificate(der: der)
        if der.count <= longest { kept.keep(certificate, for: der) }
        return certificate
    }

    /// The certificates in this text, where it was read earlier.
    static func certificates(_ pem: [UInt8]) -> [Certificate]? {
        pem.count <= longest ? texts.value(pem) : nil
    }

    /// Keeps what was read from this text.
    static func keep(_ certificates: [Certificate], pem: [UInt8]) {
        if pem.count <= longest { texts.keep(certificates, for: pem) }
    }
}

extension Certificate {
    /// The certificate with this DER encoding, read now or earlier.
    ///
    /// Errors and limits are those of `init(der:)`.
    public static func read(der: [UInt8]) throws(KeyError) -> Certificate {
        try CertificateMemory.certificate(der)
    }
}
