import Attestation
import Keys
import RATS

@testable import Appraisal

/// A machine with NVIDIA devices and what comes with their Evidence, under a policy to be changed.
struct FakeNVIDIAMachine {
    let maker: FakeNVIDIAMaker
    var devices: [FakeNVIDIA]
    var manifests: [FakeManifest]
    /// Good answers unless replaced.
    var answers: [FakeStatusAnswer]
    var more: [Endorsement] = []
    /// In place of 0 and up.
    var indices: [UInt16]?
    var machine = true
    var tier = PeerPolicy.Tier.session

    var gpus: Int?
    var architectures = NVIDIAGPUPolicy.Architecture.allCases
    var modes = NVIDIAGPUPolicy.Modes.any
    var driver = NVIDIAVersion.any
    var vbios = NVIDIAVersion.any
    var driverManifest = NVIDIADevicePolicy.Requirement.required
    var vbiosManifest = NVIDIADevicePolicy.Requirement.required
    var firmwareID = NVIDIADevicePolicy.Requirement.required
    var ocsp = NVIDIADevicePolicy.Requirement.required
    var serials = ReferenceValue.any
    var roots: NVIDIARoots
    var hasSections = true
    var hasSwitchSection = true

    init(gpus: Int = 1, switches: Int = 0) throws {
        maker = try FakeNVIDIAMaker.shared.get()
        devices = []
        for index in 0..<gpus {
            var device = try FakeNVIDIA(maker, serial: UInt8(40 + index))
            device.nonce = FakeNVIDIAMachine.nonce(index)
            devices.append(device)
        }
        for index in gpus..<gpus + switches {
            var device = try FakeNVIDIA(maker, .nvswitch, serial: UInt8(40 + index))
            device.nonce = FakeNVIDIAMachine.nonce(index)
            devices.append(device)
        }
        roots = maker.roots
        func values(_ range: ClosedRange<Int>) -> [(Int, Bool, [[UInt8]])] {
            range.map { ($0, true, [[UInt8](repeating: UInt8($0 + 1), count: 48)]) }
        }
        let wrong = [UInt8](repeating: 0xEE, count: 48)
        manifests = [
            // NVDEC0 is off: what index 35 holds does not count. Inactive values do not either.
            FakeManifest(
                maker: maker, version: "580.1",
                entries: values(0...9) + [(35, true, [wrong]), (60, false, [wrong])]),
            FakeManifest(
                maker: maker, version: "96.00.5E.00.01",
                entries: values(10...19) + [
                    (20, true, [wrong, wrong, [UInt8](repeating: 21, count: 48)])
                ]),
        ]
        if switches > 0 {
            manifests.append(
                FakeManifest(
                    maker: maker, product: "LS10", version: "96.10.55.00.01",
                    entries: values(0...9)))
        }
        answers = []
    }

    static func nonce(_ index: Int) -> [UInt8] { [UInt8](repeating: UInt8(100 + index), count: 32) }

    var policy: PeerPolicy {
        let device = NVIDIADevicePolicy(
            vbios: vbios, vbiosManifest: vbiosManifest, ocsp: ocsp, devices: serials, roots: roots)
        let gpu = NVIDIAGPUPolicy(
            device: device, architectures: architectures, modes: modes, driver: driver,
            driverManifest: driverManifest, firmwareID: firmwareID)
        let switches = devices.filter { $0.device == .nvswitch }.count
        let count = gpus ?? devices.count - switches
        var require: [EvidenceFormat: Int] = [:]
        if count > 0 { require[.nvidiaGPU] = count }
        if switches > 0 { require[.nvidiaSwitch] = switches }
        if machine { require[.simulated] = 1 }
        return PeerPolicy(
            name: "node", tier: tier, maxAge: 300, require: require, tpm: nil,
            nvidiaGPU: hasSections ? gpu : nil,
            nvidiaSwitch: hasSections && hasSwitchSection ? device : nil,
            simulated: machine, configuration: [])
    }

    func submission() throws -> Appraiser.Submission {
        var evidence: [Evidence] = []
        if machine { evidence += try FakeNVIDIAMachine.cpu() }
        for (place, device) in devices.enumerated() {
            evidence.append(try device.evidence(index: indices?[place] ?? UInt16(place)))
        }
        var all = maker.answers + devices.map(\.answer)
        // Of an issuer that answers in a test, nothing else is sent.
        all.removeAll { one in answers.contains { $0.issuer == one.issuer } }
        return Appraiser.Submission(
            evidence: evidence,
            endorsements: try manifests.map {
                Endorsement(mediaType: "application/swid+xml", bytes: try $0.bytes())
            }
                + (all + answers).map {
                    Endorsement(mediaType: "application/ocsp-response", bytes: try $0.encoded())
                } + more,
            configuration: Array("{}".utf8)
        )
    }

    /// The code of the refusal, or `admitted`.
    func code(now: Int64 = FakePKI.now) throws -> String {
        let submission = try submission()
        do throws(Refusal) {
            _ = try appraise(submission, now)
            return "admitted"
        } catch {
            return error.code
        }
    }

    /// Appraises Evidence that others made in place of the machine's own.
    func appraise(_ evidence: [Evidence]) throws -> Appraiser.Outcome {
        let own = try submission()
        return try appraise(
            Appraiser.Submission(
                evidence: evidence, endorsements: own.endorsements,
                configuration: own.configuration),
            FakePKI.now)
    }

    func appraise(
        _ submission: Appraiser.Submission, _ now: Int64
    ) throws(Refusal) -> Appraiser.Outcome {
        try Appraiser.appraise(
            submission,
            expected: Appraiser.ExpectedBinding(
                reportData: FakeNVIDIAMachine.reportData,
                tpmQualifyingData: [UInt8](repeating: 0, count: 32),
                gpuNonces: devices.indices.map(FakeNVIDIAMachine.nonce)
            ),
            policy: AppraisalPolicy(mode: .enforce, peers: .appraised([policy]), digest: []),
            now: now
        )
    }

    static let reportData = [UInt8](repeating: 1, count: 64)

    private static func cpu() throws -> [Evidence] {
        try SimulatedAttester().quote(
            QuoteChallenge(
                tpmQualifyingData: [], gpuNonce: { _ in [] }, reportData: { _ in reportData }))
    }
}
