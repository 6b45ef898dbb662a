import Keys
import RATS
import Testing

@testable import Appraisal

/// What several devices of one machine have to be to each other.
struct NVIDIACompositionTests {
    private func code(
        gpus: Int,
        switches: Int = 0,
        _ change: (inout FakeNVIDIAMachine) throws -> Void = { _ in }
    ) throws -> String {
        var machine = try FakeNVIDIAMachine(gpus: gpus, switches: switches)
        try change(&machine)
        return try machine.code()
    }

    @Test func theNumberIsExact() throws {
        #expect(try code(gpus: 8) == "admitted")
        #expect(
            try code(gpus: 8) {
                $0.devices.removeLast(); $0.gpus = 8
            } == "evidence.kind.count")
        #expect(try code(gpus: 3) { $0.gpus = 2 } == "evidence.kind.count")
        #expect(try code(gpus: 2) { $0.indices = [0, 0] } == "nvidia.nonce.mismatch")
    }

    @Test func theMachineAttestsToo() throws {
        #expect(try code(gpus: 1) { $0.machine = false } == "nvidia.machine.missing")
        // What a policy takes from files, no connection may present.
        #expect(
            try code(gpus: 1) {
                $0.machine = false
                $0.tier = .none
            } == "policy.tier.mismatch")
    }

    @Test func eachDeviceIsAnother() throws {
        // The same GPU answered both nonces.
        let twice = try code(gpus: 2) {
            let nonce = $0.devices[1].nonce
            $0.devices[1] = $0.devices[0]
            $0.devices[1].nonce = nonce
        }
        #expect(twice == "nvidia.device.duplicate")
        // So it did with another certificate for the key that signs reports.
        let renamed = try code(gpus: 2) {
            let old = $0.devices[0]
            $0.devices[1] = old
            $0.devices[1].nonce = FakeNVIDIAMachine.nonce(1)
            $0.devices[1].leaf.serial = 99
        }
        #expect(renamed == "nvidia.device.duplicate")
        // And a device answered in another's place.
        #expect(try code(gpus: 2) { $0.devices.swapAt(0, 1) } == "nvidia.nonce.mismatch")
    }

    @Test func theyAreAlike() throws {
        #expect(
            try code(gpus: 2) { $0.devices[1].set(3, Array("580.2\0".utf8)) }
                == "nvidia.mixed.driver")
        #expect(try code(gpus: 2) { $0.devices[1].set(36, [1, 0]) } == "nvidia.mixed.mode")
        let chips = try code(gpus: 2) {
            $0.devices[1].provisioner.subject = "NVIDIA GB100 Provisioner ICA 1"
            $0.devices[1].own.issuer = "NVIDIA GB100 Provisioner ICA 1"
            $0.devices[1].leaf.subject = "GB100 A01 FMC LF"
        }
        #expect(chips == "nvidia.mixed.chip")
    }

    @Test func switchesComeBehindTheGPUsThatTheyConnect() throws {
        let protect: (inout FakeNVIDIAMachine) -> Void = {
            for index in $0.devices.indices where $0.devices[index].device == .gpu {
                $0.devices[index].protect()
            }
        }
        #expect(try code(gpus: 2, switches: 1, protect) == "admitted")
        // Without the mode there is nothing that names them; without them the mode is a claim.
        #expect(try code(gpus: 2, switches: 1) == "nvidia.switch.missing")
        #expect(try code(gpus: 2, protect) == "nvidia.switch.missing")
        let other = try code(gpus: 1, switches: 1) {
            $0.devices[0].protect(through: [9, 9, 9, 9, 9, 9, 9, 9])
        }
        #expect(other == "nvidia.switch.missing")
        let double = try code(gpus: 1, switches: 2, protect)
        #expect(double == "nvidia.switch.identifier")
        let order = try code(gpus: 1, switches: 1) {
            protect(&$0)
            $0.devices.swapAt(0, 1)
            $0.devices[0].nonce = FakeNVIDIAMachine.nonce(0)
            $0.devices[1].nonce = FakeNVIDIAMachine.nonce(1)
        }
        #expect(order == "nvidia.index.order")
        let changed = try code(gpus: 1, switches: 1) {
            protect(&$0)
            $0.devices[1].measurements[0].1[0] ^= 1
        }
        #expect(changed == "nvidia.measurement.mismatch")
        let unpinned = try code(gpus: 1, switches: 1) {
            protect(&$0)
            $0.manifests.removeLast()
        }
        #expect(unpinned == "nvidia.rim.vbios.missing")
    }

    @Test func switchesAreAlikeAndHaveTheirPlaces() throws {
        let second: [UInt8] = [9, 9, 9, 9, 9, 9, 9, 9]
        let pair: (inout FakeNVIDIAMachine) throws -> Void = {
            $0.devices[0].protect(through: FakeNVIDIA.switchPDI + second)
            $0.devices[2].set(22, second)
        }
        #expect(try code(gpus: 1, switches: 2, pair) == "admitted")
        let other = try code(gpus: 1, switches: 2) {
            try pair(&$0)
            $0.devices[2].provisioner.subject = "NVIDIA LS_20 Provisioner ICA 1"
            $0.devices[2].own.issuer = "NVIDIA LS_20 Provisioner ICA 1"
            $0.devices[2].leaf.subject = "LS_20 A01 FMC LF"
        }
        #expect(other == "nvidia.mixed.chip")
        // A place that is empty names no switch.
        let empty = try code(gpus: 1, switches: 1) {
            $0.devices[0].protect(
                through: FakeNVIDIA.switchPDI + [UInt8](repeating: 0, count: 8))
        }
        #expect(empty == "admitted")
        // GPU and switch under one index: a place was named twice, another not at all.
        let shared = try code(gpus: 1, switches: 1) {
            $0.devices[0].protect()
            $0.indices = [0, 0]
            $0.devices[1].nonce = FakeNVIDIAMachine.nonce(0)
        }
        #expect(shared == "nvidia.index.order")
        // Outside protected PCIe, what a GPU is wired to is no matter of anybody's.
        #expect(try code(gpus: 1) { $0.devices[0].set(22, FakeNVIDIA.switchPDI) } == "admitted")
    }

    @Test func eachKindHasItsSection() throws {
        let code = try code(gpus: 1, switches: 1) {
            $0.devices[0].protect()
            $0.hasSwitchSection = false
        }
        #expect(code == "policy.nvidia_switch.missing")
    }

    // In files, every manifest that is there has to be of the device.
    @Test func filesHoldWhatIsOfTheDevice() throws {
        func code(_ change: (inout FakeNVIDIAMachine) throws -> Void) throws -> String {
            var machine = try FakeNVIDIAMachine()
            try change(&machine)
            let answers = machine.answers + [machine.devices[0].answer] + machine.maker.answers
            let verification = NVIDIAVerification(
                report: try machine.devices[0].report(),
                certificates: try machine.devices[0].chain(),
                manifests: try machine.manifests.map { try $0.bytes() },
                answers: try answers.map { try $0.encoded() },
                roots: machine.roots)
            do throws(Refusal) {
                let claims = try verification.claims(now: FakePKI.now)
                // The device's own authority and two above it, and two for each manifest.
                #expect(claims["ocsp_good"] == .number(3 + 2 * UInt64(machine.manifests.count)))
                return "verified"
            } catch {
                return error.code
            }
        }
        #expect(try code { _ in } == "verified")
        #expect(try code { $0.manifests = [] } == "verified")
        #expect(try code { $0.manifests[0].version = "580.2" } == "nvidia.rim.version")
        #expect(try code { $0.manifests[1].product = "GB100" } == "nvidia.rim.version")
        #expect(try code { $0.manifests.append($0.manifests[0]) } == "nvidia.rim.version")
        #expect(try code { $0.manifests[0].signedBy = $0.maker.rootKey } == "nvidia.rim.signature")
        let held = try code {
            var answer = $0.devices[0].answer
            answer.status = .revoked(6)
            $0.answers = [answer]
        }
        #expect(held == "nvidia.ocsp.hold")
    }

    // A switch is no GPU, whatever the Evidence calls itself.
    @Test func aSwitchIsNoGPU() throws {
        let maker = try FakeNVIDIAMaker()
        let nvswitch = try FakeNVIDIA(maker, .nvswitch)
        let gpu = try FakeNVIDIA(maker)
        for (evidence, format, wanted) in [
            (try nvswitch.evidence(), EvidenceFormat.nvidiaGPU, "nvidia.malformed"),
            (try gpu.evidence(), .nvidiaSwitch, "nvidia.malformed"),
        ] {
            let binding = Appraiser.ExpectedBinding(
                reportData: FakeNVIDIAMachine.reportData,
                tpmQualifyingData: [UInt8](repeating: 0, count: 32),
                gpuNonces: [gpu.nonce])
            let refusal = #expect(throws: Refusal.self) {
                try Appraiser.authenticate(
                    Appraiser.Submission(
                        evidence: [Evidence(format, bytes: evidence.bytes)], endorsements: [],
                        configuration: []),
                    expected: binding)
            }
            #expect(refusal?.code == wanted)
        }
        #expect(
            try code(gpus: 1) {
                $0.devices[0].provisioner.subject = "NVIDIA LS_10 Provisioner ICA 1"
                $0.devices[0].own.issuer = "NVIDIA LS_10 Provisioner ICA 1"
                $0.devices[0].leaf.subject = "LS_10 A01 FMC LF"
            } == "nvidia.chain.device")
    }
}
