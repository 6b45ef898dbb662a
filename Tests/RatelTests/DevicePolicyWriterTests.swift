import Appraisal
import Attestation
import FoundationEssentials
import Keys
import RATS
import Ratel
import Testing

/// What the writer makes of a real GPU or realm admits it, once what is missing is let be.
struct DevicePolicyWriterTests {
    private static let package = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }
        .joined()
    private static let root =
        (ProcessInfo.processInfo.environment["RATEL_SHARED"] ?? package + "/../shared")
        + "/vectors/"

    private func read(_ name: String) -> [UInt8]? {
        let path = DevicePolicyWriterTests.root + name
        guard let data = FileManager.default.contents(atPath: path) else {
            print("skipped: \(path) is absent")
            return nil
        }
        return Array(data)
    }

    private func code(
        _ evidence: [Evidence], _ expected: Appraiser.ExpectedBinding, _ policy: String
    ) -> String {
        let submission = Appraiser.Submission(
            evidence: evidence, endorsements: [], configuration: Array("{}".utf8))
        do throws(Refusal) {
            _ = try Appraiser.appraise(
                submission, expected: expected,
                policy: PolicyLoader.load(bytes: Array(policy.utf8)), now: 1_767_225_600)
            return "admitted"
        } catch {
            return error.code
        }
    }

    private func written(
        _ evidence: [Evidence], _ expected: Appraiser.ExpectedBinding
    ) throws -> String {
        let submission = Appraiser.Submission(
            evidence: evidence, endorsements: [], configuration: Array("{}".utf8))
        return PolicyWriter.yaml(
            name: "node",
            evidence: try Appraiser.authenticate(submission, expected: expected))
    }

    @Test func aGPU() throws {
        guard let report = read("nvidia/h100-580/report.bin"),
            let pem = read("nvidia/h100-580/cert-chain.pem")
        else { return }
        let chain = try Certificate.read(pem: String(decoding: pem, as: UTF8.self))
        let body = CBORValue.fields([
            (1, .bytes(report)), (2, .array(chain.map { .bytes($0.der) })),
        ])
        let reportData = [UInt8](repeating: 1, count: 64)
        let cpu = try SimulatedAttester().quote(
            QuoteChallenge(
                tpmQualifyingData: [], gpuNonce: { _ in [] }, reportData: { _ in reportData }))
        let evidence = cpu + [Evidence(.nvidiaGPU, bytes: body.encoded())]
        let expected = Appraiser.ExpectedBinding(
            reportData: reportData, tpmQualifyingData: [UInt8](repeating: 0, count: 32),
            gpuNonces: [Array(report[4..<36])])
        var policy = try written(evidence, expected)
        #expect(policy.contains("nvidia_gpu: 1, simulated: 1"))
        // Each thing that no public source offers is missed by its name.
        #expect(code(evidence, expected, policy) == "nvidia.ocsp.missing")
        policy = policy.replacing("ocsp: required", with: "ocsp: any")
        #expect(code(evidence, expected, policy) == "nvidia.rim.driver.missing")
        policy = policy.replacing("driver_rim: required", with: "driver_rim: any")
        #expect(code(evidence, expected, policy) == "nvidia.rim.vbios.missing")
        policy = policy.replacing("vbios_rim: required", with: "vbios_rim: any")
        #expect(code(evidence, expected, policy) == "admitted")
        let other = policy.replacing("580.159.03", with: "580.159.04")
        #expect(code(evidence, expected, other) == "nvidia.driver.version")
    }

    @Test func aRealm() throws {
        for name in ["tf-rmm", "veraison-good", "rust-token-02"] {
            guard let token = read("cca/\(name)/cca-token.cbor"),
                let pem = read("cca/\(name)/cpak.pub.pem")
            else { return }
            let key = try PublicKey(pem: String(decoding: pem, as: UTF8.self))
            let claims = try CCAVerification.claims(token: token, platformKey: key)
            guard case .bytes(let challenge) = claims["realm.challenge"] else {
                Issue.record("no challenge")
                return
            }
            let body = CBORValue.fields([(1, .bytes(token)), (2, .bytes(key.spki))])
            let evidence = [Evidence(.cca, bytes: body.encoded())]
            let expected = Appraiser.ExpectedBinding(
                reportData: challenge, tpmQualifyingData: [UInt8](repeating: 0, count: 32))
            let policy = try written(evidence, expected)
            #expect(code(evidence, expected, policy) == "admitted", "\(name)")
            let other = policy.replacing("rim: [\"", with: "rim: [\"00")
            #expect(code(evidence, expected, other) == "policy.value.refused", "\(name)")
        }
    }
}
