internal import RATS

/// A TD report body, 584 bytes for TDX 1.0 and 648 for 1.5: Intel TDX DCAP Quoting Library API,
/// appendix A.3.
struct TDReport: Sendable, Equatable {
    let teeTCBSVN: [UInt8]
    let mrSEAM: [UInt8]
    let mrSignerSEAM: [UInt8]
    let seamAttributes: [UInt8]
    let attributes: [UInt8]
    let xfam: [UInt8]
    let mrTD: [UInt8]
    let mrConfigID: [UInt8]
    let mrOwner: [UInt8]
    let mrOwnerConfig: [UInt8]
    /// RTMR0 to RTMR3.
    let rtmr: [[UInt8]]
    let reportData: [UInt8]
    /// TDX 1.5: the module now running, and a bound service TD.
    let teeTCBSVN2: [UInt8]?
    let mrServiceTD: [UInt8]?

    init(_ reader: inout QuoteReader, isVersion15: Bool) throws(Refusal) {
        teeTCBSVN = try reader.take(16)
        mrSEAM = try reader.take(48)
        mrSignerSEAM = try reader.take(48)
        seamAttributes = try reader.take(8)
        attributes = try reader.take(8)
        xfam = try reader.take(8)
        mrTD = try reader.take(48)
        mrConfigID = try reader.take(48)
        mrOwner = try reader.take(48)
        mrOwnerConfig = try reader.take(48)
        var registers: [[UInt8]] = []
        for _ in 0..<4 { registers.append(try reader.take(48)) }
        rtmr = registers
        reportData = try reader.take(64)
        teeTCBSVN2 = isVersion15 ? try reader.take(16) : nil
        mrServiceTD = isVersion15 ? try reader.take(48) : nil
    }

    /// Bits 0 to 7 of TD_ATTRIBUTES are the TUD group: any of them makes the TD untrusted.
    var isDebug: Bool { attributes[0] != 0 }
    /// SEPT_VE_DISABLE, bit 28: without it the host can inject exceptions on pending pages.
    var disablesSEPTVE: Bool { attributes[3] & 0x10 != 0 }
}
