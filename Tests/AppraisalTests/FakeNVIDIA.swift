import Keys
import RATS

@testable import Appraisal

/// The manufacturer of a test: roots, authorities and keys that all its devices share.
final class FakeNVIDIAMaker: Sendable {
    let rootKey, identityKey, provisionerKey: PrivateKey
    let manifestRootKey, manifestAuthorityKey, manifestKey: PrivateKey

    /// One for all tests of a run: each takes six keys.
    static let shared = Result { try FakeNVIDIAMaker() }

    init() throws {
        rootKey = try .generate(.p384)
        identityKey = try .generate(.p384)
        provisionerKey = try .generate(.p384)
        manifestRootKey = try .generate(.p384)
        manifestAuthorityKey = try .generate(.p384)
        manifestKey = try .generate(.p384)
    }

    var roots: NVIDIARoots {
        NVIDIARoots(
            devices: [Digest.sha256(rootKey.spki)],
            manifests: [Digest.sha256(manifestRootKey.spki)])
    }

    func manifestChain(_ signer: FakePKI.Template) throws -> [[UInt8]] {
        let root = FakePKI.Template(
            subject: "RIM root", issuer: "RIM root", serial: 21, isAuthority: true)
        let middle = FakePKI.Template(
            subject: "RIM CA", issuer: "RIM root", serial: 22, isAuthority: true)
        return [
            try FakePKI.certificate(signer, of: manifestKey, by: manifestAuthorityKey),
            try FakePKI.certificate(middle, of: manifestAuthorityKey, by: manifestRootKey),
            try FakePKI.certificate(root, of: manifestRootKey, by: manifestRootKey),
        ]
    }

    /// Good answers for all certificates but those of devices.
    var answers: [FakeStatusAnswer] {
        [
            FakeStatusAnswer(
                serial: 3, issuer: "NVIDIA GH100 Identity", issuerKey: identityKey),
            FakeStatusAnswer(serial: 2, issuer: "NVIDIA Device Root", issuerKey: rootKey),
            FakeStatusAnswer(serial: 23, issuer: "RIM CA", issuerKey: manifestAuthorityKey),
            FakeStatusAnswer(serial: 22, issuer: "RIM root", issuerKey: manifestRootKey),
        ]
    }
}

/// A GPU or NVSwitch of such a manufacturer, to be changed one thing at a time and then asked.
struct FakeNVIDIA: Sendable {
    let maker: FakeNVIDIAMaker
    let device: NVIDIADevice
    let deviceKey: PrivateKey
    var key: PrivateKey

    var root = FakePKI.Template(
        subject: "NVIDIA Device Root", issuer: "NVIDIA Device Root", isAuthority: true)
    var identity = FakePKI.Template(
        subject: "NVIDIA GH100 Identity", issuer: "NVIDIA Device Root", serial: 2,
        isAuthority: true)
    var provisioner: FakePKI.Template
    var own: FakePKI.Template
    var leaf: FakePKI.Template
    var provisionerSigner, leafSigner, reportSigner: PrivateKey
    var certificates: @Sendable ([[UInt8]]) -> [[UInt8]] = { $0 }

    var nonce = [UInt8](repeating: 7, count: 32)
    var fields: [(UInt16, [UInt8])]
    var measurements: [(UInt8, [UInt8])]
    /// Written over the report before and after it is signed.
    var before: [(Int, UInt8)] = []
    var after: [(Int, UInt8)] = []
    var trailing: [UInt8] = []

    static let firmware = [UInt8](repeating: 0xF1, count: 48)
    static let switchPDI: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]

    init(_ maker: FakeNVIDIAMaker, _ device: NVIDIADevice = .gpu, serial: UInt8 = 40) throws {
        self.maker = maker
        self.device = device
        deviceKey = try .generate(.p384)
        key = try .generate(.p384)
        let chip = device == .gpu ? "GH100" : "LS_10"
        provisioner = FakePKI.Template(
            subject: "NVIDIA \(chip) Provisioner ICA 1", issuer: "NVIDIA GH100 Identity",
            serial: 3, isAuthority: true)
        own = FakePKI.Template(
            subject: "\(chip) A01 BROM", issuer: provisioner.subject, serial: serial,
            isAuthority: true)
        leaf = FakePKI.Template(
            subject: "\(chip) A01 FMC LF", issuer: own.subject, serial: serial)
        leaf.extensions = [("2.23.133.5.4.1", FakeNVIDIA.identityExtension(FakeNVIDIA.firmware))]
        provisionerSigner = maker.identityKey
        leafSigner = deviceKey
        reportSigner = key
        measurements = (1...64).map { ($0, [UInt8](repeating: $0, count: 48)) }
        fields = device == .gpu ? FakeNVIDIA.gpuFields : FakeNVIDIA.switchFields
    }

    private static let gpuFields: [(UInt16, [UInt8])] = [
        (6, [0, 0x5E, 0, 0x96, 1, 0, 0, 0]), (3, Array("580.1\0".utf8)), (11, [0x55]),
        (20, firmware), (21, [0x55]), (34, [1, 0]), (36, [0, 0]),
    ]
    private static let switchFields: [(UInt16, [UInt8])] = [
        (6, Array("96.10.55.00.01".utf8)), (22, switchPDI),
    ]

    static func identityExtension(_ firmware: [UInt8]) -> [UInt8] {
        DER.sequence([
            DER.integer([1]), DER.sequence([]),
            DER.sequence([
                DER.objectIdentifier("2.16.840.1.101.3.4.2.2"), DER.octetString(firmware),
            ]),
        ])
    }

    mutating func set(_ type: UInt16, _ value: [UInt8]?) {
        let place = fields.firstIndex { $0.0 == type } ?? fields.count
        fields.removeAll { $0.0 == type }
        if let value { fields.insert((type, value), at: min(place, fields.count)) }
    }

    /// Protected PCIe through the one switch there is.
    mutating func protect(through switches: [UInt8] = FakeNVIDIA.switchPDI) {
        set(21, [0xAA])
        set(36, [2, 0])
        set(22, switches)
    }

    func report() throws -> [UInt8] {
        var blocks: [UInt8] = []
        for (index, value) in measurements {
            blocks += [index, 1, UInt8(value.count + 3), 0, 1, UInt8(value.count), 0] + value
        }
        var opaque: [UInt8] = []
        for (type, value) in fields {
            opaque += little(Int(type)) + little(value.count) + value
        }
        var bytes: [UInt8] = [0x11, 0xE0, 1, 0xFF] + nonce + [0]
        bytes += [0x11, 0x60, 0, 0, UInt8(measurements.count)]
        bytes += little(blocks.count) + [0] + blocks
        bytes += [UInt8](repeating: 9, count: 32)
        bytes += little(opaque.count) + opaque
        for (offset, value) in before { bytes[offset] = value }
        bytes += try reportSigner.signRaw(bytes, digest: .sha384)
        for (offset, value) in after { bytes[offset] ^= value }
        return bytes + trailing
    }

    private func little(_ value: Int) -> [UInt8] {
        [UInt8(value & 0xFF), UInt8(value >> 8 & 0xFF)]
    }

    func chain() throws -> [[UInt8]] {
        certificates([
            try FakePKI.certificate(leaf, of: key, by: leafSigner),
            try FakePKI.certificate(own, of: deviceKey, by: maker.provisionerKey),
            try FakePKI.certificate(provisioner, of: maker.provisionerKey, by: provisionerSigner),
            try FakePKI.certificate(identity, of: maker.identityKey, by: maker.rootKey),
            try FakePKI.certificate(root, of: maker.rootKey, by: maker.rootKey),
        ])
    }

    /// The answer about the device's own certificate.
    var answer: FakeStatusAnswer {
        FakeStatusAnswer(
            serial: own.serial, issuer: provisioner.subject, issuerKey: maker.provisionerKey)
    }

    func evidence(index: UInt16 = 0) throws -> Evidence {
        let body = CBORValue.fields([
            (1, .bytes(try report())), (2, .array(try chain().map(CBORValue.bytes))),
        ])
        return Evidence(device.format, index: index, bytes: body.encoded())
    }
}
