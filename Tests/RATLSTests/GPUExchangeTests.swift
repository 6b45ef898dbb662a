import Appraisal
import Attestation
import Keys
import RATLS
import RATS
import Testing

/// GPU Evidence in the exchange: what is left out, added or swapped is noticed by the nonces, and
/// by the manifest that report_data covers. The devices are those of the tests of `Appraisal`.
struct GPUExchangeTests {
    /// What a captured process may do between the roots of trust and the network.
    private struct Machine: Attester {
        var devices: [FakeNVIDIA]
        let cpu: SimulatedAttester
        /// The index whose nonce each device is asked with.
        var asked: [Int]
        /// The index under which its Evidence is sent.
        var sent: [UInt16]
        /// Whether the CPU is told of the devices.
        var isCovered = true
        /// In place of this connection's.
        var nonce: [UInt8]?
        /// Taken away once the CPU has covered them all.
        var removed = 0

        init(_ devices: [FakeNVIDIA]) throws {
            self.devices = devices
            cpu = try SimulatedAttester()
            asked = Array(devices.indices)
            sent = devices.indices.map { UInt16($0) }
        }

        var name: String { "a machine with GPUs" }
        var kinds: [EvidenceKind] { [.gpu, .simulated] }
        var isSimulated: Bool { true }

        func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence] {
            var evidence: [Evidence] = []
            for (place, device) in devices.enumerated() {
                var device = device
                device.nonce = nonce ?? challenge.gpuNonce(UInt32(asked[place]))
                guard let piece = try? device.evidence(index: sent[place]) else { continue }
                evidence.append(piece)
            }
            let all = evidence
            let covering = QuoteChallenge(
                tpmQualifyingData: challenge.tpmQualifyingData, gpuNonce: challenge.gpuNonce,
                reportData: { _ in challenge.reportData(isCovered ? all : []) })
            return Array(evidence.dropLast(removed)) + (try cpu.quote(covering))
        }
    }

    private func policy(_ maker: FakeNVIDIAMaker, count: Int) -> AppraisalPolicy {
        let device = NVIDIADevicePolicy(
            vbios: .any, vbiosManifest: .any, ocsp: .any, devices: .any, roots: maker.roots)
        let gpu = NVIDIAGPUPolicy(
            device: device, architectures: [.hopper], modes: .any, driver: .any,
            driverManifest: .any, firmwareID: .required)
        let peer = PeerPolicy(
            name: "node", tier: .session, maxAge: 300,
            require: [.simulated: 1, .nvidiaGPU: count], tpm: nil, nvidiaGPU: gpu,
            simulated: true, configuration: [])
        return AppraisalPolicy(
            mode: .enforce, peers: .appraised([peer]), digest: [UInt8](repeating: 9, count: 48))
    }

    /// How the client's side ends, whose policy asks for `count` GPUs.
    private func end(
        gpus: Int = 2, count: Int = 2, _ change: (inout Machine) throws -> Void = { _ in }
    ) throws -> Wire.End {
        let maker = try FakeNVIDIAMaker()
        var machine = try Machine(
            (0..<gpus).map { try FakeNVIDIA(maker, serial: UInt8(40 + $0)) })
        try change(&machine)
        let client = Wire.Side(
            asks: .policy(policy(maker, count: count)), spki: Sample.clientKey)
        let server = Wire.Side(
            asks: .policy(Sample.anonymous), attester: machine, spki: Sample.serverKey)
        var wire = Wire(client: client, server: server)
        wire.run()
        return wire.clientEnd
    }

    @Test func aMachineWithItsGPUsIsAdmitted() throws {
        #expect(try end().isSettled)
        #expect(try end(gpus: 8, count: 8).isSettled)
    }

    @Test func theNumberIsThePolicys() throws {
        #expect(try end(gpus: 2, count: 3).code == "evidence.kind.count")
        #expect(try end(gpus: 3, count: 2).code == "evidence.kind.count")
    }

    // With the number that the policy asks for: only the manifest tells.
    @Test func aGPUIsLeftOutBehindTheCPU() throws {
        let code = try end(gpus: 3, count: 2) { $0.removed = 1 }.code
        #expect(code == "simulated.report_data.mismatch")
    }

    @Test func aGPUIsAddedBehindTheCPU() throws {
        #expect(try end { $0.isCovered = false }.code == "simulated.report_data.mismatch")
    }

    @Test func gpusAreSwapped() throws {
        #expect(try end { $0.sent = [1, 0] }.code == "nvidia.nonce.mismatch")
        #expect(try end { $0.asked = [0, 0] }.code == "nvidia.nonce.mismatch")
        #expect(try end { $0.sent = [0, 2] }.code == "nvidia.index.refused")
        // Asked in another order, they are themselves under another number.
        let renumbered = try end {
            $0.asked = [1, 0]
            $0.sent = [1, 0]
        }
        #expect(renumbered.isSettled)
    }

    @Test func oneGPUAnswersForTwo() throws {
        #expect(try end { $0.devices[1] = $0.devices[0] }.code == "nvidia.device.duplicate")
    }

    @Test func theEvidenceIsOfAnotherConnection() throws {
        let code = try end { $0.nonce = [UInt8](repeating: 7, count: 32) }.code
        #expect(code == "nvidia.nonce.mismatch")
    }
}
