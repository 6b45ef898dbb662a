import Attestation
import FoundationEssentials
import Keys
import Testing

struct DoctorTests {
    @Test func everyInterfaceIsNamedAndJudged() throws {
        let root = "/tmp/ratel-doctor-\(UInt64.random(in: 0 ..< .max))"
        try FileManager.default.createDirectory(
            atPath: root + "/dev",
            withIntermediateDirectories: true
        )
        defer { try? FileManager.default.removeItem(atPath: root) }
        try Data().write(to: URL(filePath: root + "/dev/tdx_guest"))
        let findings = Doctor.examine(
            tcti: "swtpm:path=\(root)/none.sock",
            environment: ["TSS2_TCTI": "nonsense"],
            places: DevicePlaces(root: root)
        )
        func state(_ name: String) -> Finding.State? {
            findings.first { $0.interface == name }?.state
        }
        #expect(state("configfs-tsm") == .absent)
        #expect(state("Intel TDX") == .unusable)
        for name in ["AMD SEV-SNP", "Intel SGX", "AWS Nitro", "TPM 2.0"] {
            #expect(state(name) == .absent, "\(name)")
        }
        #expect(state("TCTI of the configuration") == .unusable)
        #expect(state("TCTI of TSS2_TCTI") == .unusable)
        #expect(state("software key") == .usable)
        for finding in findings {
            #expect(!finding.row.text.isEmpty)
            let json = Array(finding.json.serialised().utf8)
            #expect(JSONParser.parse(json)?["state"]?.text == finding.state.rawValue)
        }
    }

    @Test func aTPMThatAnswersIsMeasured() throws {
        guard let tpm = try SoftwareTPM.start() else { return }
        let findings = Doctor.examine(tcti: tpm.tcti)
        let finding = try #require(
            findings.first { $0.interface == "TCTI of the configuration" }
        )
        #expect(finding.state == .usable)
        #expect(finding.quoteMilliseconds.count == 3)
        #expect(finding.detail.contains("attestation key 000b"))
        #expect(finding.detail.contains(", endorsement certificate"))
        #expect(finding.quoteTime?.hasSuffix(" ms") == true)
    }
}
