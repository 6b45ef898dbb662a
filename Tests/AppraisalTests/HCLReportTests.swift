import Keys
import RATS
import Testing

@testable import Appraisal

/// Paravisors' reports changed one thing at a time, and what they vouch for.
struct HCLReportTests {
    private func refusal(_ change: (inout FakeHCL) -> Void) throws -> Refusal? {
        var fake = FakeHCL()
        change(&fake)
        do throws(Refusal) {
            let report = try HCLReport(fake.bytes)
            guard let key = fake.key else { return nil }
            try report.checkBinding(key: key)
            return nil
        } catch {
            return error
        }
    }

    private func code(_ change: (inout FakeHCL) -> Void) throws -> String {
        try refusal(change)?.code ?? "good"
    }

    @Test func everyLineOfTheReportHasItsRefusal() throws {
        let malformed = "tpm.hcl.malformed"
        let size = FakeHCL().bytes.count
        let rest = HCLReport.maximumSize - size
        let modulus = FakeHCL().modulus
        let changes: [(String, (inout FakeHCL) -> Void)] = [
            ("good", { _ in }), ("good", { $0.type = 2 }),
            (malformed, { $0.magic[3] = 0x42 }), (malformed, { $0.type = 3 }),
            (malformed, { $0.hashType = 0 }), (malformed, { $0.hashType = 4 }),
            ("tpm.hcl.report_data", { $0.hashType = 2 }),
            (malformed, { $0.trailing = [1] }), ("good", { $0.trailing = [0, 0] }),
            ("good", { $0.trailing = [UInt8](repeating: 0, count: rest) }),
            (malformed, { $0.trailing = [UInt8](repeating: 0, count: rest + 1) }),
            (malformed, { $0.runtime = "[]" }), (malformed, { $0.runtime = "{" }),
            (malformed, { $0.runtime = "{}" }), (malformed, { $0.keys = "" }),
            (malformed, { $0.keys = FakeHCL.key(modulus, name: "HCLEkPub") }),
            (malformed, { $0.keys = FakeHCL.key(modulus) + "," + FakeHCL.key(modulus) }),
            (malformed, { $0.keys = FakeHCL.key(modulus, type: "EC") }),
            (malformed, { $0.keys = FakeHCL.key(modulus, exponent: [1, 0, 1, 0, 1]) }),
            (malformed, { $0.keys = FakeHCL.key(modulus, exponent: []) }),
            (malformed, { $0.keys = FakeHCL.key([1, 2, 3]) }),
            (
                "tpm.hcl.key",
                { $0.keys = FakeHCL.key([0xC1] + modulus.dropFirst()) }
            ),
            ("tpm.hcl.report_data", { $0.reportData = [UInt8](repeating: 0, count: 64) }),
            // The second half of REPORT_DATA is zero.
            ("tpm.hcl.report_data", { $0.reportData = $0.bound.dropLast() + [1] }),
        ]
        for (index, (wanted, change)) in changes.enumerated() {
            #expect(try code(change) == wanted, "change \(index)")
        }
        #expect(try refusal { $0.magic[3] = 0x42 }?.field == "HCL signature")
        let bytes = FakeHCL().bytes
        for cut in [0, 3, 40, 1200, bytes.count - 1] {
            let short = #expect(throws: Refusal.self) { try HCLReport(Array(bytes[..<cut])) }
            #expect(short?.code == malformed)
            #expect(short?.field == "HCL length")
        }
    }

    /// A virtual TPM in a trust domain, appraised as part of a machine's Evidence.
    private func appraise(
        _ change: (inout FakeHCL, inout FakeDCAP) -> Void, hasQuote: Bool = true,
        hasCollateral: Bool = true, mrTD: ReferenceValue = .any, isOther: Bool = false
    ) throws -> String {
        var hcl = FakeHCL()
        var fake = try FakeDCAP()
        fake.layout.body.replaceSubrange(520..<584, with: hcl.bound)
        hcl.describe(fake.layout.body)
        change(&hcl, &fake)
        let attest = try TPMSAttest(FakeTPM().attest)
        // TPMT_PUBLIC of a restricted RSA key for signatures.
        let head: [UInt8] = [
            0, 1, 0, 0x0B, 0, 5, 0, 0x72, 0, 0, 0, 0x10, 0, 0x14, 0, 0x0B, 8, 0, 0, 0, 0, 0, 1, 0,
        ]
        let modulus = isOther ? [0xC1] + hcl.modulus.dropFirst() : hcl.modulus
        let evidence = TPMEvidence(
            attest: attest, key: try TPMTPublic(head + modulus), bank: .sha256,
            values: [7: [UInt8](repeating: 0, count: 32)], paravisorReport: hcl.bytes,
            hardwareQuote: hasQuote ? try fake.quote() : nil)
        let tdx = TDXPolicy(
            mrTD: mrTD, rtmr: [.any, .any, .any, .any], mrConfigID: .any, mrOwner: .any,
            mrOwnerConfig: .any, allowedAttributes: 0,
            tcb: TCBPolicy(accept: [.upToDate], tolerate: [], minimumEvaluation: 0),
            platforms: .any, roots: fake.roots)
        let policy = TPMPolicy(
            key: .underTDX(tdx), bank: .sha256, pcrs: [7: .any], resetCount: .any,
            restartCount: .any, firmware: .any, allowsUnsafeClock: true, eventLog: .any)
        do throws(Refusal) {
            let endorsements: [Endorsement]
            do {
                endorsements = hasCollateral ? [try fake.collateral().endorsement] : []
            } catch {
                return "\(error)"
            }
            _ = try TPMAppraisal(
                policy: policy, evidence: evidence, endorsements: endorsements, now: FakePKI.now,
                activations: []
            ).run()
            return "admitted"
        } catch {
            return error.code
        }
    }

    @Test func aTrustDomainVouchesForItsTPM() throws {
        let other = try PrivateKey.generate(.p256)
        let nothing = ReferenceValue.oneOf([])
        #expect(try appraise({ _, _ in }) == "admitted")
        #expect(try appraise({ _, _ in }, hasQuote: false) == "tpm.hcl.quote.missing")
        #expect(try appraise({ _, _ in }, hasCollateral: false) == "dcap.collateral.missing")
        #expect(try appraise({ _, _ in }, mrTD: nothing) == "dcap.tdx.mrtd")
        #expect(try appraise({ _, _ in }, isOther: true) == "tpm.hcl.key")
        #expect(try appraise({ hcl, _ in hcl.type = 2 }) == "tpm.hcl.hardware")
        #expect(try appraise({ _, fake in fake.quoteKey = other }) == "dcap.quote.signature")
        #expect(try appraise({ _, fake in fake.qeReportKey = other }) == "dcap.qe.signature")
        let unsigned = try appraise(
            { _, fake in fake.quoteKey = other }, hasCollateral: false)
        #expect(unsigned == "dcap.quote.signature")
        // The quote is over other data, or of another trust domain over the same data.
        #expect(try appraise({ _, fake in fake.layout.body[583] ^= 1 }) == "tpm.hcl.quote")
        for place in [120, 128, 136, 183] {
            #expect(
                try appraise({ _, fake in fake.layout.body[place] ^= 0x10 }) == "tpm.hcl.quote")
        }
        let enclave = try appraise({ _, fake in
            let data = fake.layout.body[520..<584]
            fake.beEnclave(version: 4)
            fake.layout.body.replaceSubrange(320..<384, with: data)
        })
        #expect(enclave == "dcap.quote.tee_type")
        let quote = try FakeDCAP().quote()
        #expect(throws: Never.self) {
            try DCAPQuote(quote).checkSignatures()
        }
    }
}
