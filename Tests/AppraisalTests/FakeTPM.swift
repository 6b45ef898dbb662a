import Appraisal
import Bytes
import Keys
import RATS

/// A TPM of a test: every field of its Evidence can be wrong, and all the rest still right.
struct FakeTPM {
    let key: PrivateKey
    let qualifyingData: [UInt8]
    var magic: UInt32 = 0xFF54_4347
    var type: UInt16 = 0x8018
    var resetCount: UInt32 = 3
    var restartCount: UInt32 = 1
    var safe: UInt8 = 1
    var firmware: UInt64 = 0x2020_0101_0000_0000
    var bank: UInt16 = 0x000B
    var selections: [(algorithm: UInt16, bitmap: [UInt8])] = [(0x000B, [0x81, 0, 0])]
    var values: [Int: [UInt8]] = [
        0: [UInt8](repeating: 1, count: 32), 7: [UInt8](repeating: 2, count: 32),
    ]
    /// What is sent, where it is not what is quoted.
    var sent: [Int: [UInt8]]?
    var attributes: UInt32 = 0x0005_0072
    var keyScheme: [UInt16] = [0x0018, 0x000B]
    var signatureScheme: [UInt16] = [0x0018, 0x000B]
    var nameAlgorithm: UInt16 = 0x000B
    var trailing: [UInt8] = []
    var tampersWithSignature = false
    var endorsementCertificate: [UInt8]?
    var eventLog: [UInt8]?
    var keyCertificates: [[UInt8]] = []
    var paravisorReport: [UInt8]?
    var hardwareQuote: [UInt8]?

    init(qualifyingData: [UInt8] = [UInt8](repeating: 5, count: 32)) throws {
        key = try PrivateKey.generate()
        self.qualifyingData = qualifyingData
    }

    var publicArea: [UInt8] {
        var area = Writer()
        area.u16(0x0023)
        area.u16(nameAlgorithm)
        area.u32(attributes)
        area.u16(0)
        area.u16(0x0010)
        for part in keyScheme { area.u16(part) }
        area.u16(0x0003)
        area.u16(0x0010)
        for coordinate in [key.spki[27..<59], key.spki[59..<91]] {
            area.u16(32)
            area.append(Array(coordinate))
        }
        return area.bytes
    }

    var name: [UInt8] { [0, 0x0B] + Digest.sha256(publicArea) }

    var attest: [UInt8] {
        var text = Writer()
        text.u32(magic)
        text.u16(type)
        text.u16(2)
        text.append([0, 1])
        text.u16(UInt16(qualifyingData.count))
        text.append(qualifyingData)
        text.u64(1000)
        text.u32(resetCount)
        text.u32(restartCount)
        text.u8(safe)
        text.u64(firmware)
        text.u32(UInt32(selections.count))
        for (algorithm, bitmap) in selections {
            text.u16(algorithm)
            text.u8(UInt8(bitmap.count))
            text.append(bitmap)
        }
        let all = values.sorted { $0.key < $1.key }.flatMap(\.value)
        text.u16(32)
        text.append(Digest.sha256(all))
        text.append(trailing)
        return text.bytes
    }

    func evidence() throws -> Evidence {
        let raw = try key.signRaw(attest)
        var signature = Writer()
        for part in signatureScheme { signature.u16(part) }
        for half in [raw[..<32], raw[32...]] {
            signature.u16(32)
            signature.append(Array(half))
        }
        var signed = signature.bytes
        if tampersWithSignature { signed[20] ^= 1 }
        let entries = (sent ?? values).map {
            CBORValue.Entry(.unsigned(UInt64($0.key)), .bytes($0.value))
        }
        let body = CBORValue.fields([
            (1, .bytes(attest)), (2, .bytes(signed)), (3, .bytes(publicArea)),
            (4, .unsigned(UInt64(bank))), (5, .map(entries)),
            (6, endorsementCertificate.map { .bytes($0) }), (7, eventLog.map { .bytes($0) }),
            (8, paravisorReport.map { .bytes($0) }), (9, hardwareQuote.map { .bytes($0) }),
            (10, keyCertificates.isEmpty ? nil : .array(keyCertificates.map { .bytes($0) })),
        ])
        return Evidence(.tpm, bytes: body.encoded())
    }
}

/// The parts of a TPM policy, to be changed one at a time.
struct FakePolicy {
    var key: TPMPolicy.KeyTrust
    var bank = PCRBank.sha256
    var pcrs: [Int: ReferenceValue] = [
        0: .oneOf([[UInt8](repeating: 1, count: 32)]), 7: .any,
    ]
    var resetCount = TPMPolicy.Count.oneOf([3])
    var restartCount = TPMPolicy.Count.oneOf([1])
    var firmware = TPMPolicy.Firmware.atLeast(0x2020_0101_0000_0000)
    var allowsUnsafeClock = false
    var eventLog = TPMPolicy.EventLog.any

    init(_ tpm: FakeTPM) { key = .pinned([tpm.name]) }

    var policy: AppraisalPolicy {
        let tpm = TPMPolicy(
            key: key,
            bank: bank,
            pcrs: pcrs,
            resetCount: resetCount,
            restartCount: restartCount,
            firmware: firmware,
            allowsUnsafeClock: allowsUnsafeClock,
            eventLog: eventLog
        )
        let peer = PeerPolicy(
            name: "node",
            tier: .session,
            maxAge: 300,
            require: [.tpm: 1],
            tpm: tpm,
            simulated: false,
            configuration: []
        )
        return AppraisalPolicy(mode: .enforce, peers: .appraised([peer]), digest: [])
    }
}
