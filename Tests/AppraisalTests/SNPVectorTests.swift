import Keys
import RATS
import Testing

@testable import Appraisal

/// Reports of real SEV-SNP guests, from the shared vectors.
struct SNPVectorTests {
    private let reasons = [
        "milan-v2-debug-policy": "snp.debug",
        // Their key is not the one that signed the report either, which is seen first.
        "milan-v2-tampered-vcek-legacy": "snp.signature.invalid",
        "milan-v2-tampered-vcek-new": "snp.signature.invalid",
        "milan-v3-vlek-aws-expired": "snp.chain.invalid",
        "milan-v4-gce-without-vcek": "snp.key.missing",
        "neg-ask-of-another-product": "snp.root.unknown",
        "neg-debug-policy-bit-cleared": "snp.signature.invalid",
        "neg-measurement-bit": "snp.signature.invalid",
        "neg-report-data-bit": "snp.signature.invalid",
        "neg-signature-bit": "snp.signature.invalid",
        "neg-vcek-of-another-chip": "snp.signature.invalid",
    ]

    private func evidence(_ vector: RealVector) throws -> [UInt8] {
        let names = ["vcek.der", "vlek.der", "ask.der", "asvk.der", "ark.der"]
        return CBORValue.fields([
            (1, .bytes(try #require(vector.file("report.bin")))),
            (2, .array(names.compactMap { vector.file($0).map(CBORValue.bytes) })),
            (3, vector.file("crl.der").map(CBORValue.bytes)),
        ]).encoded()
    }

    private func code(
        _ vector: RealVector,
        _ policy: FakeSNPPolicy,
        at now: Int64
    ) throws -> String {
        let report = try #require(vector.file("report.bin"))
        return try policy.code(
            evidence(vector), reportData: Array(report[0x50..<0x90]), now: now)
    }

    @Test func everyReportIsAppraisedAsItShouldBe() throws {
        for vector in try RealVector.all("snp") {
            var policy = FakeSNPPolicy()
            let now = try vector.verifyAt()
            if vector.hasGap, vector.isGood {
                #expect(try code(vector, policy, at: now) == "snp.crl.missing", "\(vector.name)")
            }
            if vector.hasGap { policy.revocation = .any }
            let wanted = vector.isGood ? "admitted" : reasons[vector.name]
            let code = try code(vector, policy, at: now)
            #expect(code == wanted, "\(vector.name)")
        }
    }

    @Test func noneIsAdmittedOutsideItsTime() throws {
        for vector in try RealVector.all("snp") where vector.isGood {
            var policy = FakeSNPPolicy()
            if vector.hasGap { policy.revocation = .any }
            let (from, to) = try vector.window()
            let refused = ["snp.chain.invalid", "snp.crl.invalid"]
            for now in [from - 1, to + 1] {
                #expect(refused.contains(try code(vector, policy, at: now)), "\(vector.name)")
            }
            // The library takes the last second for the first one after.
            for now in [from, to - 1] {
                #expect(try code(vector, policy, at: now) == "admitted", "\(vector.name)")
            }
        }
    }

    @Test func claimsAreReadAsOthersReadThem() throws {
        for vector in try RealVector.all("snp") where vector.isGood {
            var policy = FakeSNPPolicy()
            if vector.hasGap { policy.revocation = .any }
            let report = try #require(vector.file("report.bin"))
            let outcome = try policy.appraise(
                evidence(vector),
                reportData: Array(report[0x50..<0x90]),
                now: vector.verifyAt()
            )
            guard case .admitted(let result) = outcome else {
                Issue.record("\(vector.name) is not admitted")
                continue
            }
            // 20 fields of the report, 4 TCBs of 5, 6 of versions, 5 of the certificate.
            #expect(vector.compare(result.evidence[0].claims) > 50, "\(vector.name)")
        }
    }

    @Test func certificatesMayComeAsEndorsements() throws {
        for vector in try RealVector.all("snp") where vector.name == "genoa-v3-azure" {
            let report = try #require(vector.file("report.bin"))
            let endorsements = try [
                ("vcek.der", "application/pkix-cert"), ("ask.der", "application/pkix-cert"),
                ("ark.der", "application/pkix-cert"), ("crl.der", "application/pkix-crl"),
            ].map { Endorsement(mediaType: $1, bytes: try #require(vector.file($0))) }
            let evidence = CBORValue.fields([(1, .bytes(report))]).encoded()
            for count in 0...endorsements.count {
                let code = try FakeSNPPolicy().code(
                    evidence,
                    reportData: Array(report[0x50..<0x90]),
                    endorsements: Array(endorsements[..<count]),
                    now: vector.verifyAt()
                )
                let wanted = [
                    "snp.key.missing", "snp.root.unknown", "snp.root.unknown", "snp.crl.missing",
                    "admitted",
                ]
                #expect(code == wanted[count])
            }
        }
    }
}
