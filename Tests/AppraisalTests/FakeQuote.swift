import Bytes
import Keys
import RATS

@testable import Appraisal

/// A TDX quote, version 4, by an attestation key of one test: its own signatures hold, and no chain
/// leads anywhere. Layout: Intel TDX DCAP Quoting Library API, appendix A.
struct FakeQuote {
    let key: PrivateKey
    var reportData = [UInt8](repeating: 0, count: 64)
    /// RTMR0 to RTMR3.
    var registers = [[UInt8]](repeating: [UInt8](repeating: 0, count: 48), count: 4)

    init(covering reportData: [UInt8]) throws {
        key = try PrivateKey.generate()
        self.reportData = reportData + [UInt8](repeating: 0, count: 64 - reportData.count)
    }

    func bytes() throws -> [UInt8] {
        let zeros = { (count: Int) in [UInt8](repeating: 0, count: count) }
        var header: [UInt8] = [4, 0, 2, 0, 0x81, 0, 0, 0] + zeros(4)
        header += DCAPQuote.intelVendor + zeros(20)
        // Up to the registers: TEE_TCB_SVN, MRSEAM, MRSIGNERSEAM, SEAMATTRIBUTES, TDATTRIBUTES
        // (SEPT_VE_DISABLE), XFAM, MRTD and three more of 48 bytes.
        let before = zeros(16 + 48 + 48 + 8) + [0, 0, 0, 0x10, 0, 0, 0, 0] + [3] + zeros(7)
        let body = before + zeros(4 * 48) + registers.flatMap(\.self) + reportData
        let point = Array(key.spki.suffix(64))
        var report = zeros(384)
        report.replaceSubrange(320..<352, with: Digest.sha256(point))
        var data = try key.signRaw(header + body) + point
        let inner = report + zeros(64) + [0, 0] + [5, 0] + little(1) + [0x20]
        data += [6, 0] + little(inner.count) + inner
        return header + body + little(data.count) + data
    }

    private func little(_ value: Int) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
}

/// A certificate for a key of one test, with these extensions.
struct FakeLeaf {
    let key: PrivateKey
    var extensions: [(String, [UInt8])] = []

    static let now: Int64 = 1_800_000_000

    init() throws { key = try PrivateKey.generate() }

    func certificate(_ extensions: [(String, [UInt8])]) throws -> Certificate {
        try LeafCertificate.make(
            key: key, commonName: "peer.invalid", now: FakeLeaf.now, lifetime: 3_600,
            extensions: extensions.map { .init(identifier: $0.0, content: $0.1) })
    }

    /// The code of the refusal, or `bound` where everything in the certificate holds.
    func code(_ extensions: [(String, [UInt8])], now: Int64 = FakeLeaf.now) throws -> String {
        let certificate = try certificate(extensions)
        do throws(Refusal) {
            for carried in try AttestedLeaf(certificate, now: now).carried {
                _ = try carried.authenticate()
            }
            return "bound"
        } catch {
            return error.code
        }
    }

    /// The code of the refusal, `bound`, or `nothing` where it is another service's.
    func code(_ read: (Certificate) throws -> CarriedEvidence?) throws -> String {
        do {
            guard let carried = try read(try certificate([])) else { return "nothing" }
            _ = try carried.authenticate()
            return carried.coversKey ? "bound" : "unbound"
        } catch let refusal as Refusal {
            return refusal.code
        }
    }
}
