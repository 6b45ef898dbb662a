import Keys
import RATS
import Testing

@testable import Appraisal

/// What a policy refuses in a quote of a real trust domain and of a real enclave, each by its code.
struct DCAPAppraisalTests {
    private func vector(_ kind: String, _ name: String) throws -> RealVector? {
        try RealVector.all(kind).first { $0.name == name }
    }

    private func evidence(_ vector: RealVector, collateral: Bool = true) throws -> DCAPEvidence {
        let bytes = try #require(vector.file("quote.bin"))
        return DCAPEvidence(
            bytes: bytes, quote: try DCAPQuote(bytes),
            collateral: collateral ? vector.collateral : nil)
    }

    private let upToDate = TCBPolicy(accept: [.upToDate], tolerate: [], minimumEvaluation: 18)

    private func policy(
        _ report: TDReport, mrTD: ReferenceValue? = nil, rtmr: (Int, ReferenceValue)? = nil,
        mrConfigID: ReferenceValue? = nil, mrOwner: ReferenceValue? = nil,
        mrOwnerConfig: ReferenceValue? = nil, tcb: TCBPolicy? = nil,
        platforms: ReferenceValue = .any
    ) -> TDXPolicy {
        var registers = report.rtmr.map { ReferenceValue.oneOf([$0]) }
        if let rtmr { registers[rtmr.0] = rtmr.1 }
        return TDXPolicy(
            mrTD: mrTD ?? .oneOf([report.mrTD]), rtmr: registers,
            mrConfigID: mrConfigID ?? .oneOf([report.mrConfigID]),
            mrOwner: mrOwner ?? .oneOf([report.mrOwner]),
            mrOwnerConfig: mrOwnerConfig ?? .oneOf([report.mrOwnerConfig]),
            allowedAttributes: 0, tcb: tcb ?? upToDate, platforms: platforms)
    }

    private func code(_ appraise: () throws -> Void) -> String {
        do {
            try appraise()
            return "admitted"
        } catch let refusal as Refusal {
            return refusal.code
        } catch {
            return "\(error)"
        }
    }

    @Test func aTrustDomainIsHeldToEveryLine() throws {
        guard let vector = try vector("tdx", "v5-td15-uptodate") else { return }
        let evidence = try evidence(vector)
        guard case .tdx(let report) = evidence.quote.body else {
            Issue.record("no trust domain")
            return
        }
        let appraisal = DCAPAppraisal(evidence: evidence, now: try vector.verifyAt())
        let other = ReferenceValue.oneOf([[UInt8](repeating: 1, count: 48)])
        let empty = ReferenceValue.oneOf([])
        let newer = TCBPolicy(accept: [.upToDate], tolerate: [], minimumEvaluation: 99)
        let none = TCBPolicy(accept: [], tolerate: [], minimumEvaluation: 0)
        let cases: [(String, TDXPolicy)] = [
            ("admitted", policy(report)),
            ("dcap.tdx.mrtd", policy(report, mrTD: other)),
            ("dcap.tdx.mrtd", policy(report, mrTD: empty)),
            ("dcap.tdx.rtmr0", policy(report, rtmr: (0, other))),
            ("dcap.tdx.rtmr1", policy(report, rtmr: (1, other))),
            ("dcap.tdx.rtmr2", policy(report, rtmr: (2, other))),
            ("dcap.tdx.rtmr3", policy(report, rtmr: (3, empty))),
            ("admitted", policy(report, rtmr: (3, .any))),
            ("dcap.tdx.mrconfigid", policy(report, mrConfigID: other)),
            ("dcap.tdx.mrowner", policy(report, mrOwner: other)),
            ("dcap.tdx.mrownerconfig", policy(report, mrOwnerConfig: other)),
            ("dcap.platform", policy(report, platforms: empty)),
            ("dcap.tcb.evaluation", policy(report, tcb: newer)),
            ("dcap.tcb.status", policy(report, tcb: none)),
        ]
        for (expected, policy) in cases {
            #expect(code { try appraisal.run(policy) } == expected)
        }
        let bare = DCAPAppraisal(
            evidence: try self.evidence(vector, collateral: false), now: try vector.verifyAt())
        #expect(code { try bare.run(policy(report)) } == "dcap.collateral.missing")
    }

    @Test func aStatusIsToleratedForItsAdvisoriesAndItsTime() throws {
        guard let vector = try vector("tdx", "v5-td15-relaunch-advised") else { return }
        let evidence = try evidence(vector)
        guard case .tdx(let report) = evidence.quote.body else {
            Issue.record("no trust domain")
            return
        }
        let now = try vector.verifyAt()
        let appraisal = DCAPAppraisal(evidence: evidence, now: now)
        func outcome(_ advisories: [String], until: Int64, status: TCBStatus) -> String {
            let tcb = TCBPolicy(
                accept: [.upToDate],
                tolerate: [.init(status: status, advisories: advisories, until: until)],
                minimumEvaluation: 0)
            return code { try appraisal.run(policy(report, tcb: tcb)) }
        }
        let all = ["INTEL-SA-01036", "INTEL-SA-01099"]
        #expect(outcome(all, until: now + 1, status: .tdRelaunchAdvised) == "admitted")
        #expect(outcome(all, until: now, status: .tdRelaunchAdvised) == "dcap.tcb.status")
        #expect(outcome(all, until: now + 1, status: .outOfDate) == "dcap.tcb.status")
        #expect(
            outcome([all[0]], until: now + 1, status: .tdRelaunchAdvised) == "dcap.tcb.status")
    }

    @Test func anEnclaveIsHeldToEveryLine() throws {
        guard let vector = try vector("sgx", "v3-icx-swhardening") else { return }
        let evidence = try evidence(vector)
        guard case .sgx(let report) = evidence.quote.body else {
            Issue.record("no enclave")
            return
        }
        let tcb = TCBPolicy(
            accept: [.swHardeningNeeded], tolerate: [], minimumEvaluation: 0)
        let product = [UInt8(report.productID >> 8), UInt8(report.productID & 0xFF)]
        func outcome(
            enclave: [UInt8]? = nil, signer: [UInt8]? = nil, product: [UInt8]? = nil,
            svn: UInt16? = nil
        ) throws -> String {
            let policy = SGXPolicy(
                mrEnclave: .oneOf([enclave ?? report.mrEnclave]),
                mrSigner: .oneOf([signer ?? report.mrSigner]),
                productID: .oneOf([product ?? Array(own)]),
                minimumSVN: svn ?? report.svn, tcb: tcb, platforms: .any)
            let appraisal = DCAPAppraisal(evidence: evidence, now: try vector.verifyAt())
            return code { try appraisal.run(policy) }
        }
        let own = product
        let other = [UInt8](repeating: 9, count: 32)
        #expect(try outcome() == "admitted")
        #expect(try outcome(enclave: other) == "dcap.sgx.mrenclave")
        #expect(try outcome(signer: other) == "dcap.sgx.mrsigner")
        #expect(try outcome(product: [9, 9]) == "dcap.sgx.isvprodid")
        #expect(try outcome(svn: report.svn + 1) == "dcap.sgx.isvsvn")
    }

    @Test func collateralTravelsAsAnEndorsement() throws {
        guard let vector = try vector("tdx", "v5-td15-uptodate") else { return }
        let bytes = try #require(vector.file("quote.bin"))
        let quote = try DCAPQuote(bytes)
        let expected = Appraiser.ExpectedBinding(
            reportData: quote.reportData,
            tpmQualifyingData: [UInt8](repeating: 0, count: 32))
        let submission = Appraiser.Submission(
            evidence: [Evidence(.tdx, bytes: bytes)],
            endorsements: [vector.collateral.endorsement], configuration: Array("{}".utf8))
        let authentic = try Appraiser.authenticate(submission, expected: expected)
        guard case .dcap(let evidence) = authentic[0].detail else {
            Issue.record("another format")
            return
        }
        #expect(evidence.collateral == vector.collateral)
        var wrong = quote.reportData
        wrong[63] ^= 1
        let other = Appraiser.ExpectedBinding(
            reportData: wrong, tpmQualifyingData: [UInt8](repeating: 0, count: 32))
        #expect(
            code { _ = try Appraiser.authenticate(submission, expected: other) }
                == "dcap.report_data")
    }
}
