internal import Keys

/// What the certificate of a VCEK or VLEK says in AMD's extensions: Versioned Chip Endorsement Key
/// Certificate and KDS Interface Specification (AMD 57230), section 2.
struct SNPKeyCertificate {
    /// AMD's arc.
    private static let arc = "1.3.6.1.4.1.3704.1."

    let certificate: Certificate

    init(_ certificate: Certificate) { self.certificate = certificate }

    /// Whether AMD's productName is in it, so that it is one of these.
    static func isOne(_ certificate: Certificate) -> Bool {
        SNPKeyCertificate(certificate).productName != nil
    }

    /// The product, such as `Genoa` or, with a stepping, `Milan-B0`.
    var productName: String? { text("2") }
    /// The identifier of the chip: 64 bytes, or 8 for Turin; only in a VCEK.
    var hardwareID: [UInt8]? { certificate.extension(SNPKeyCertificate.arc + "4") }
    /// The cloud provider whose key it is; only in a VLEK.
    var providerID: String? { text("5") }

    /// The security version numbers under their short names.
    var levels: [(name: String, value: UInt8?)] {
        [
            ("fmc", level("3.9")), ("bl", level("3.1")), ("tee", level("3.2")),
            ("snp", level("3.3")), ("ucode", level("3.8")),
        ]
    }

    /// The TCB that the key stands for; `nil` unless every part but fmc is there.
    var tcb: SNPTCB? {
        let fmc = level("3.9")
        // That fmc is there for Turin alone follows from comparing with the report's.
        guard let bootloader = level("3.1"), let tee = level("3.2"), let snp = level("3.3"),
            let microcode = level("3.8")
        else { return nil }
        return SNPTCB(fmc: fmc, bootloader: bootloader, tee: tee, snp: snp, microcode: microcode)
    }

    // INTEGER of 0 to 255 in DER: two content bytes from 128 on.
    private func level(_ name: String) -> UInt8? {
        guard let content = certificate.extension(SNPKeyCertificate.arc + name),
            let value = content.last, content == DER.integer([value])
        else { return nil }
        return value
    }

    // IA5String in DER; 127 characters are far above the longest name AMD gives.
    private func text(_ name: String) -> String? {
        guard let content = certificate.extension(SNPKeyCertificate.arc + name),
            content.count >= 3, content[0] == 0x16, content[1] < 0x80,
            content.count == 2 + Int(content[1]),
            content[2...].allSatisfy({ (0x20..<0x7F).contains($0) })
        else { return nil }
        return String(decoding: content[2...], as: UTF8.self)
    }
}
