import Keys

@testable import Appraisal

/// The report of an Azure paravisor: a hardware report over the keys of a virtual TPM.
struct FakeHCL {
    var magic = Array("HCLA".utf8)
    /// 2 for SNP, 4 for TDX.
    var type: UInt32 = 4
    var hashType: UInt32 = 1
    /// The hardware report, whose report_data is written when the bytes are made.
    var report = [UInt8](repeating: 0, count: HCLReport.reportSize)
    var reportData: [UInt8]?
    /// The only key unless `keys` says otherwise: some number of 2048 bits.
    var modulus = [0xC0] + [UInt8](repeating: 0x5A, count: 254) + [1]
    var keys: String?
    var runtime: String?
    var trailing: [UInt8] = []

    var key: PublicKey? { try? PublicKey(modulus: modulus, exponent: 65_537) }

    static func key(
        _ modulus: [UInt8], name: String = "HCLAkPub", type: String = "RSA",
        exponent: [UInt8] = [1, 0, 1]
    ) -> String {
        "{\"kid\":\"\(name)\",\"kty\":\"\(type)\",\"n\":\"\(Base64.encode(url: modulus))\","
            + "\"e\":\"\(Base64.encode(url: exponent))\"}"
    }

    var runtimeData: [UInt8] {
        let keys = keys ?? FakeHCL.key(modulus)
        return Array(
            (runtime ?? "{\"keys\":[\(keys)],\"vm-configuration\":{\"secure-boot\":true}}").utf8)
    }

    var bound: [UInt8] { Digest.sha256(runtimeData) + [UInt8](repeating: 0, count: 32) }

    var bytes: [UInt8] {
        var report = report
        let place = type == 2 ? 0x50 : 128
        report.replaceSubrange(place..<place + 64, with: reportData ?? bound)
        let data = runtimeData
        var bytes = magic + u32(2) + [UInt8](repeating: 0, count: 24) + report
        bytes += u32(UInt32(data.count) + 20) + u32(1) + u32(type) + u32(hashType)
        return bytes + u32(UInt32(data.count)) + data + trailing
    }

    /// What the quote has to say of the trust domain: attributes, XFAM and MRTD.
    mutating func describe(_ body: [UInt8]) {
        report.replaceSubrange(512..<576, with: body[120..<184])
    }

    private func u32(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
    }
}
