import Keys

@testable import Appraisal

/// The bytes of a DCAP quote, in the order of Intel's Quoting Library API.
struct FakeQuoteLayout {
    var version: UInt16 = 4
    var keyType: UInt16 = 2
    var teeType: UInt32 = 0x81
    var vendor = DCAPQuote.intelVendor
    /// Of version 5.
    var bodyType: UInt16 = 2
    var bodySize: UInt32?
    /// TD report or enclave report.
    var body = FakeQuoteLayout.trustDomain
    var qeReport = FakeQuoteLayout.quotingEnclave
    /// What the QE report says of the attestation key; nil for what it should say.
    var reportData: [UInt8]?
    var authentication = [UInt8](repeating: 0x41, count: 32)
    var outerType: UInt16 = 6
    var innerType: UInt16 = 5
    /// Behind the certification data within its wrapping, behind the wrapping, behind it all.
    var afterChain: [UInt8] = []
    var afterWrapping: [UInt8] = []
    var trailing: [UInt8] = []

    /// 584 bytes: TEE_TCB_SVN 5, 1, 5 and so on, SEPT_VE_DISABLE, XFAM 0x61AE7.
    static var trustDomain: [UInt8] {
        var body = [UInt8](repeating: 0, count: 584)
        for index in 0..<16 { body[index] = index == 1 ? 1 : 5 }
        body[123] = 0x10
        body.replaceSubrange(128..<136, with: [0xE7, 0x1A, 0x06, 0, 0, 0, 0, 0])
        for index in 136..<184 { body[index] = 0x11 }
        for index in 520..<584 { body[index] = 0x42 }
        return body
    }

    /// The same for TDX 1.5, with TEE_TCB_SVN2 like TEE_TCB_SVN and no service TD.
    static var trustDomain15: [UInt8] {
        trustDomain + trustDomain[..<16] + [UInt8](repeating: 0, count: 48)
    }

    static var quotingEnclave: [UInt8] {
        var report = [UInt8](repeating: 0, count: 384)
        report[48] = 0x15
        for index in 128..<160 { report[index] = 0xDD }
        report[256] = 2
        report[258] = 4
        return report
    }

    /// An enclave that is no quoting enclave: product 7, SVN 3.
    static var enclave: [UInt8] {
        var report = quotingEnclave
        report[48] = 0x05
        report[256] = 7
        report[258] = 3
        for index in 320..<384 { report[index] = 0x42 }
        return report
    }

    func bytes(
        attestation: PrivateKey, signer: PrivateKey, qe: PrivateKey, chain: [UInt8]
    ) throws -> [UInt8] {
        var signed = u16(version) + u16(keyType) + u32(teeType) + [0, 0, 0, 0] + vendor
        signed += [UInt8](repeating: 0, count: 20)
        if version == 5 { signed += u16(bodyType) + u32(bodySize ?? UInt32(body.count)) }
        signed += body
        // The uncompressed point ends a SubjectPublicKeyInfo.
        let point = Array(attestation.spki.suffix(64))
        var report = qeReport
        let bound = Digest.sha256(point + authentication) + [UInt8](repeating: 0, count: 32)
        report.replaceSubrange(320..<384, with: reportData ?? bound)
        var inner = report + (try qe.signRaw(report, digest: .sha256))
        inner += u16(UInt16(authentication.count)) + authentication
        inner += u16(innerType) + u32(UInt32(chain.count)) + chain + afterChain
        var data = try signer.signRaw(signed, digest: .sha256) + point
        data += version >= 4 ? u16(outerType) + u32(UInt32(inner.count)) + inner : inner
        data += afterWrapping
        return signed + u32(UInt32(data.count)) + data + trailing
    }

    private func u16(_ value: UInt16) -> [UInt8] { [UInt8(value & 0xFF), UInt8(value >> 8)] }

    private func u32(_ value: UInt32) -> [UInt8] {
        u16(UInt16(value & 0xFFFF)) + u16(UInt16(value >> 16))
    }
}
