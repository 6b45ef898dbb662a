internal import RATS

/// A DCAP quote as it is laid out: Intel SGX DCAP Quoting Library API, appendix A, and Intel TDX
/// DCAP Quoting Library API, appendix A; versions 3, 4 and 5.
struct DCAPQuote: Sendable {
    /// Bytes of a quote: certificates are some 4 KiB of it, and Google Cloud pads to 8,000.
    static let maximumSize = 16 * 1024
    /// Intel's QE vendor, `939a7233-f79c-4ca9-940a-0db3957f0607`.
    static let intelVendor: [UInt8] = [
        0x93, 0x9A, 0x72, 0x33, 0xF7, 0x9C, 0x4C, 0xA9, 0x94, 0x0A, 0x0D, 0xB3, 0x95, 0x7F, 0x06,
        0x07,
    ]

    /// What is measured.
    enum Body: Sendable, Equatable {
        case sgx(SGXReport)
        case tdx(TDReport)
    }

    let version: UInt16
    let body: Body
    /// Header and body, which the attestation key signed.
    let signed: [UInt8]
    /// r ‖ s.
    let signature: [UInt8]
    /// x ‖ y of the attestation key, P-256.
    let attestationKey: [UInt8]
    let qeReport: SGXReport
    /// r ‖ s by the PCK.
    let qeReportSignature: [UInt8]
    let qeAuthenticationData: [UInt8]
    /// The PCK certificate chain, PEM.
    let certificates: [UInt8]
    /// Bytes up to the end of the signature data; what follows is padding.
    let declaredLength: Int

    /// Reads a quote; what follows its declared length may only be zeros (Google Cloud pads).
    init(_ bytes: [UInt8]) throws(Refusal) {
        guard bytes.count <= DCAPQuote.maximumSize else { throw DCAPRefusal.malformed }
        var reader = QuoteReader(bytes)
        version = try reader.u16()
        let keyType = try reader.u16()
        let teeType = try reader.u32()
        _ = try reader.take(4)
        let vendor = try reader.take(16)
        _ = try reader.take(20)
        guard (3...5).contains(version) else {
            throw DCAPRefusal.evidence("quote.version", "version", "3, 4 or 5", "\(version)")
        }
        guard keyType == 2 else {
            throw DCAPRefusal.evidence(
                "quote.key_type", "attestation key type", "2 (ECDSA P-256)", "\(keyType)")
        }
        guard vendor == DCAPQuote.intelVendor else {
            throw DCAPRefusal.evidence("quote.vendor", "QE vendor", "Intel's", "another")
        }
        body = try DCAPQuote.body(&reader, version: version, teeType: teeType)
        signed = Array(bytes[..<reader.offset])
        var inner = QuoteReader(try reader.sized())
        declaredLength = reader.offset
        guard reader.rest().allSatisfy({ $0 == 0 }) else { throw DCAPRefusal.malformed }
        signature = try inner.take(64)
        attestationKey = try inner.take(64)
        if version >= 4 {
            // Version 4 and 5 wrap what version 3 lays out at once.
            try DCAPQuote.expect(6, try inner.u16())
            let wrapped = try inner.sized()
            guard inner.isAtEnd else { throw DCAPRefusal.malformed }
            inner = QuoteReader(wrapped)
        }
        qeReport = try SGXReport(&inner)
        qeReportSignature = try inner.take(64)
        qeAuthenticationData = try inner.take(Int(try inner.u16()))
        try DCAPQuote.expect(5, try inner.u16())
        certificates = try inner.sized()
        guard inner.isAtEnd else { throw DCAPRefusal.malformed }
    }

    /// What the quote covers, 64 bytes.
    var reportData: [UInt8] {
        switch body {
        case .sgx(let report): report.reportData
        case .tdx(let report): report.reportData
        }
    }

    private static func body(
        _ reader: inout QuoteReader, version: UInt16, teeType: UInt32
    ) throws(Refusal) -> Body {
        var isVersion15 = false
        if version == 5 {
            let type = try reader.u16()
            let size = try reader.u32()
            let known: [UInt16: (tee: UInt32, size: UInt32)] = [
                1: (0x00, 384), 2: (0x81, 584), 3: (0x81, 648),
            ]
            guard let layout = known[type], layout.size == size, layout.tee == teeType else {
                throw DCAPRefusal.evidence(
                    "quote.body", "body type and size", "one that fits the TEE type",
                    "type \(type), \(size) bytes, TEE \(teeType)")
            }
            isVersion15 = type == 3
        }
        switch teeType {
        case 0x00: return .sgx(try SGXReport(&reader))
        case 0x81 where version >= 4:
            return .tdx(try TDReport(&reader, isVersion15: isVersion15))
        default:
            throw DCAPRefusal.evidence(
                "quote.tee_type", "TEE type", "SGX (0) or, from version 4, TDX (0x81)",
                "\(teeType)")
        }
    }

    private static func expect(_ wanted: UInt16, _ type: UInt16) throws(Refusal) {
        guard type == wanted else {
            throw DCAPRefusal.evidence(
                "quote.certification", "certification data type", "\(wanted)", "\(type)",
                "configure the platform to put its PCK certificate chain into quotes")
        }
    }
}
