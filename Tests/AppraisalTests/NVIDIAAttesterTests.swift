import Attestation
import FoundationEssentials
import Glibc
import Keys
import RATS
import Testing

@testable import Appraisal

/// The attester for GPUs, over a library that stands in for NVIDIA's.
struct NVIDIAAttesterTests {
    /// A folder with the library and what it gives, gone with the object.
    final class StandIn {
        let folder = "/tmp/ratel-nvml-\(UInt64.random(in: 0 ..< .max))"
        var library: String { folder + "/libnvidia-ml.so.1" }

        init?(_ devices: [FakeNVIDIA]) throws {
            guard StandIn.run("command -v cc >/dev/null") == 0 else {
                print("skipped: there is no C compiler")
                return nil
            }
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true)
            for (index, device) in devices.enumerated() {
                try write("report-\(index).bin", device.report())
                let pem = try device.chain().map { try Certificate(der: $0).pem }.joined()
                try write("chain-\(index).pem", Array(pem.utf8))
            }
            let source = TestData.package + "/Tests/Support/nvml-stand-in.c"
            let command = "cc -shared -fPIC '-DFOLDER=\"\(folder)\"' -o \(library) '\(source)'"
            try #require(StandIn.run(command) == 0)
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        func write(_ name: String, _ bytes: [UInt8]) throws {
            try Data(bytes).write(to: URL(filePath: folder + "/" + name))
        }

        static func run(_ command: String) -> Int32 {
            var process: pid_t = 0
            let environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
            let words: [String] = ["/bin/sh", "-c", command]
            var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
            var variables = unsafe environment.map { unsafe strdup($0) } + [nil]
            let code = unsafe posix_spawn(&process, "/bin/sh", nil, nil, &arguments, &variables)
            unsafe (arguments + variables).forEach { unsafe free($0) }
            guard code == 0 else { return -1 }
            var status: Int32 = 0
            unsafe waitpid(process, &status, 0)
            return status
        }
    }

    private func challenge(
        _ nonce: @escaping @Sendable (UInt32) -> [UInt8] = { FakeNVIDIAMachine.nonce(Int($0)) }
    ) -> QuoteChallenge {
        QuoteChallenge(
            tpmQualifyingData: [], gpuNonce: nonce,
            reportData: { _ in FakeNVIDIAMachine.reportData })
    }

    private func code(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "none"
        } catch let refusal as Refusal {
            return refusal.code
        } catch {
            return "\(error)"
        }
    }

    @Test func itsEvidenceIsAdmitted() throws {
        let machine = try FakeNVIDIAMachine(gpus: 2)
        guard let library = try StandIn(machine.devices) else { return }
        let attester = try CompositeAttester([
            SimulatedAttester(), NVIDIAAttester(library: library.library),
        ])
        let evidence = try attester.quote(challenge())
        #expect(evidence.map(\.kind) == [.gpu, .gpu, .simulated])
        #expect(evidence.map(\.index) == [0, 1, 0])
        let result = try machine.appraise(evidence)
        guard case .admitted(let admitted) = result else {
            Issue.record("not admitted")
            return
        }
        let serials = admitted.evidence.compactMap { $0.claims["device_serial"] }
        #expect(serials == [.bytes([40]), .bytes([41])])
    }

    @Test func whatFailsIsNamed() throws {
        let machine = try FakeNVIDIAMachine(gpus: 1)
        guard let library = try StandIn(machine.devices) else { return }
        let missing = code { _ = try NVIDIAAttester(library: library.folder + "/none.so") }
        #expect(missing == "nvidia.nvml.missing")
        // A library that has none of the functions.
        let other = code { _ = try NVIDIAAttester(library: "libm.so.6") }
        #expect(other == "nvidia.nvml.missing")
        let attester = try NVIDIAAttester(library: library.library)
        let refused = code {
            _ = try attester.quote(challenge { _ in [UInt8](repeating: 0, count: 32) })
        }
        #expect(refused == "nvidia.nvml.failed")
        try library.write("off", [])
        #expect(code { _ = try attester.quote(challenge()) } == "nvidia.mode.off")
        try FileManager.default.removeItem(atPath: library.folder + "/off")
        try library.write("chain-0.pem", Array("not a certificate".utf8))
        #expect(code { _ = try attester.quote(challenge()) } == "nvidia.nvml.failed")
        try FileManager.default.removeItem(atPath: library.folder + "/report-0.bin")
        #expect(code { _ = try attester.quote(challenge()) } == "nvidia.devices")
    }

    @Test func theDoctorNamesIt() throws {
        var device = try FakeNVIDIA(FakeNVIDIAMaker())
        // The doctor asks over zeros.
        device.nonce = [UInt8](repeating: 0, count: 32)
        guard let library = try StandIn([device]) else { return }
        func state(_ path: String) -> Finding.State? {
            var places = DevicePlaces(root: library.folder)
            places.nvml = path
            let findings = Doctor.examine(tcti: nil, places: places)
            return findings.first { $0.interface == "NVIDIA GPU" }?.state
        }
        #expect(state(library.library) == .usable)
        #expect(state(library.folder + "/none.so") == .absent)
        try FileManager.default.removeItem(atPath: library.folder + "/report-0.bin")
        #expect(state(library.library) == .unusable)
    }
}
