internal import RATS

/// A report body of SGX, 384 bytes: Intel SDM volume 3D, section 39.15 (REPORT).
struct SGXReport: Sendable, Equatable {
    static let size = 384

    /// The bytes as signed.
    let bytes: [UInt8]
    let cpuSVN: [UInt8]
    let miscSelect: [UInt8]
    /// FLAGS and XFRM, 8 bytes each.
    let attributes: [UInt8]
    let mrEnclave: [UInt8]
    let mrSigner: [UInt8]
    let configID: [UInt8]
    let productID: UInt16
    let svn: UInt16
    let configSVN: UInt16
    let reportData: [UInt8]

    init(_ reader: inout QuoteReader) throws(Refusal) {
        bytes = try reader.take(SGXReport.size)
        var inner = QuoteReader(bytes)
        cpuSVN = try inner.take(16)
        miscSelect = try inner.take(4)
        _ = try inner.take(28)
        attributes = try inner.take(16)
        mrEnclave = try inner.take(32)
        _ = try inner.take(32)
        mrSigner = try inner.take(32)
        _ = try inner.take(32)
        configID = try inner.take(64)
        productID = try inner.u16()
        svn = try inner.u16()
        configSVN = try inner.u16()
        _ = try inner.take(58)
        reportData = try inner.take(64)
    }

    /// FLAGS.DEBUG: the enclave's memory can be read.
    var isDebug: Bool { attributes[0] & 0x02 != 0 }
}
