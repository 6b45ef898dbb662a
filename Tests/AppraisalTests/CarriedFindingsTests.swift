import Attestation
import Keys
import RATS
import Testing

@testable import Appraisal

/// What is authentic of Evidence that came with a key, where no policy is asked: each kind refused
/// by what only its vendor, or a person, can vouch for.
struct CarriedFindingsTests {
    private let leaf: FakeLeaf
    private let binding: StaticBinding

    init() throws {
        leaf = try FakeLeaf()
        binding = StaticBinding(spki: leaf.key.spki)
    }

    /// The code of the refusal, or the kind and the number of gaps.
    private func outcome(
        _ evidence: [Evidence], in dialect: Dialect = .cmw, roots: [[UInt8]] = []
    ) throws -> String {
        let carried = CarriedEvidence(
            dialect, "here", formula: "the key", evidence: evidence,
            expected: binding.expected(of: evidence))
        let certificate = try leaf.certificate([])
        do throws(Refusal) {
            var anchors = TrustAnchors()
            for root in roots { try anchors.add(root) }
            let findings = try CarriedEvidence.findings(
                [carried], of: certificate, tier: .session, anchors: anchors, now: FakeLeaf.now)
            return "\(findings.kind) \(findings.gaps.count)"
        } catch {
            return error.code
        }
    }

    private func pem(_ key: PublicKey) -> [UInt8] {
        Array(PEM.encode(key.spki, label: "PUBLIC KEY").utf8)
    }

    private func snp() throws -> (evidence: Evidence, root: [UInt8]) {
        var snp = try FakeSNP()
        snp.set(0x50, binding.challenge.reportData([]))
        return (
            Evidence(.snp, bytes: try snp.evidence()),
            try FakePKI.certificate(snp.root, of: snp.ark, by: snp.ark)
        )
    }

    @Test func aReportLeadsToATrustedRoot() throws {
        let snp = try snp()
        #expect(try outcome([snp.evidence], roots: [snp.root]) == "certificate 0")
        #expect(try outcome([snp.evidence]) == "snp.root.unknown")
        // What an endpoint answers is of the kind of its Evidence: no certificate carries it.
        #expect(try outcome([snp.evidence], in: .near, roots: [snp.root]) == "snp 0")
    }

    @Test func aBareKeyIsNamedByAPerson() throws {
        let tpm = try FakeTPM(qualifyingData: binding.challenge.tpmQualifyingData)
        let quote = try tpm.evidence()
        #expect(try outcome([quote], roots: [pem(tpm.key.publicKey)]) == "certificate 0")
        #expect(try outcome([quote]) == "tpm.ak.untrusted")
        #expect(try outcome([quote], roots: [pem(leaf.key.publicKey)]) == "tpm.ak.untrusted")
        var cca = try FakeCCA()
        cca.realm[10] = .bytes(binding.challenge.reportData([]))
        let token = CBORValue.fields([
            (1, .bytes(try cca.token())), (2, .bytes(cca.platformKey.spki)),
        ])
        let realm = Evidence(.cca, bytes: token.encoded())
        #expect(try outcome([realm], roots: [pem(cca.platformKey.publicKey)]) == "certificate 0")
        #expect(try outcome([realm]) == "cca.cpak.missing")
    }

    @Test func aDeviceLeadsToATrustedRootAndRunsWhatItWasCertifiedFor() throws {
        let snp = try snp()
        let maker = try FakeNVIDIAMaker.shared.get()
        func device(
            isTrusted: Bool = true, _ change: (inout FakeNVIDIA) -> Void = { _ in }
        ) throws -> String {
            var gpu = try FakeNVIDIA(maker)
            gpu.nonce = binding.challenge.gpuNonce(0)
            change(&gpu)
            let root = try FakePKI.certificate(gpu.root, of: maker.rootKey, by: maker.rootKey)
            return try outcome(
                [snp.evidence, try gpu.evidence()], roots: [snp.root] + (isTrusted ? [root] : []))
        }
        #expect(try device() == "certificate 1")
        #expect(try device(isTrusted: false) == "nvidia.root.unknown")
        let other = [UInt8](repeating: 0xF2, count: 48)
        #expect(try device { $0.set(20, other) } == "nvidia.fwid.mismatch")
    }

    @Test func whatNobodyCanVouchForIsRefused() throws {
        #expect(
            try outcome(try SimulatedAttester().quote(binding.challenge)) == "simulated.refused")
        #expect(try outcome([Evidence(.result, bytes: [1])]) == "result.unbound")
    }
}
