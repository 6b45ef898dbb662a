import Keys
import RATS
import Testing

@testable import Appraisal

struct SNPAppraisalTests {
    private typealias Change = (inout FakeSNP) throws -> Void

    private func code(
        _ change: Change = { _ in },
        _ policy: (inout FakeSNPPolicy) -> Void = { _ in }
    ) throws -> String {
        var snp = try FakeSNP()
        var rules = snp.policy
        try change(&snp)
        policy(&rules)
        return try rules.code(snp.evidence(), reportData: snp.reportData, now: FakePKI.now)
    }

    @Test func goodEvidenceIsAdmitted() throws {
        #expect(try code() == "admitted")
        let loaded = try code({ $0.becomeLoaded("CN=cloud") }, { $0.loadedKey = .any })
        #expect(loaded == "admitted")
        let turin = try FakeSNP()
        let code = try code(
            { $0.becomeTurin() },
            { $0.roots = [.turin: $0.roots[.genoa] ?? []] }
        )
        #expect(code == "admitted")
        // The pin of AMD's own keys refuses all of them.
        let real = try FakeSNPPolicy().code(
            turin.evidence(), reportData: turin.reportData, now: FakePKI.now)
        #expect(real == "snp.root.unknown")
    }

    @Test func everyLineOfTheStructureHasItsRefusal() throws {
        let changes: [(String, Change)] = [
            ("snp.malformed", { $0.trailing = [0] }),
            ("snp.version", { $0.set(0, [1]) }), ("snp.version", { $0.set(0, [6]) }),
            ("snp.version", { $0.set(3, [1]) }),
            ("snp.signature.algorithm", { $0.set(0x34, [0]) }),
            ("snp.signature.algorithm", { $0.set(0x34, [2]) }),
            ("snp.signing_key", { $0.set(0x48, [7 << 2]) }),
            ("snp.product.unknown", { $0.set(0x189, [0x30]) }),
            ("snp.product.unknown", { $0.set(0x188, [0x17]) }),
            ("snp.malformed", { $0.set(0x30, [4]) }),
            ("snp.malformed", { $0.set(0x48, [0x20]) }),
            ("snp.malformed", { $0.set(0x0A, [1]) }), ("snp.malformed", { $0.set(0x0B, [4]) }),
            ("snp.malformed", { $0.set(0x4C, [1]) }), ("snp.malformed", { $0.set(0x18B, [1]) }),
            ("snp.malformed", { $0.set(0x19F, [1]) }), ("snp.malformed", { $0.set(0x1EB, [1]) }),
            ("snp.malformed", { $0.set(0x1EF, [1]) }), ("snp.malformed", { $0.set(0x1F8, [1]) }),
            ("snp.malformed", { $0.set(0x29F, [1]) }),
            (
                "snp.malformed",
                {
                    $0.set(0, [5])
                    $0.set(0x208, [1])
                }
            ),
            ("snp.malformed", { $0.set(0, [2]) }),
            ("snp.malformed", { $0.overwritten = [(0x2D0, 1)] }),
            ("snp.malformed", { $0.overwritten = [(0x32F, 1)] }),
            ("snp.malformed", { $0.overwritten = [(0x49F, 1)] }),
            ("snp.signature.invalid", { $0.overwritten = [(0x90, 1)] }),
            ("snp.signature.invalid", { $0.overwritten = [(0x29F, 0), (0x10, 1)] }),
            ("snp.certificate.malformed", { $0.strangeCertificate = [0x30, 0] }),
            ("snp.key.missing", { $0.leavesOut = [0] }),
            ("snp.key.missing", { $0.productName = nil }),
        ]
        for (index, (wanted, change)) in changes.enumerated() {
            #expect(try code(change) == wanted, "change \(index)")
        }
        let version5: Change = {
            $0.set(0, [5])
            $0.set(0x1F8, [1])
        }
        #expect(try code(version5) == "admitted")
        #expect(try code { $0.set(0x30, [3]) } == "admitted")
        let garbage = try FakeSNPPolicy().code(
            [0xA0], reportData: [UInt8](repeating: 0, count: 64), now: 0)
        #expect(garbage == "snp.malformed")
    }

    @Test func theReportMustBeOfThisConnection() throws {
        for place in [0x50, 0x8F] {
            #expect(try code({ $0.set(place, [0]) }) == "snp.report_data.mismatch")
        }
    }

    @Test func theKeyMustLeadToThePinnedRoot() throws {
        let other = try PrivateKey.generate(.p384)
        let changes: [(String, Change)] = [
            ("snp.root.unknown", { $0.leavesOut = [2] }),
            ("snp.root.unknown", { $0.leaf.issuer = "SEV-Milan" }),
            ("snp.chain.invalid", { $0.leavesOut = [1] }),
            ("snp.chain.invalid", { $0.leafSigner = other }),
            ("snp.chain.invalid", { $0.middleSigner = other }),
            ("snp.chain.invalid", { $0.leaf.to = "270101000000Z" }),
            ("snp.chain.invalid", { $0.leaf.from = "270601000000Z" }),
            ("snp.chain.invalid", { $0.middle.to = "270101000000Z" }),
            ("snp.chain.invalid", { $0.root.to = "270101000000Z" }),
            ("snp.chain.invalid", { $0.middle.isAuthority = false }),
            ("snp.chain.invalid", { $0.leaf.isAuthority = true }),
            ("snp.chain.invalid", { $0.middle.usage = 0x02 }),
            ("snp.key.role", { $0.set(0x48, [4]) }),
            (
                "snp.key.role",
                {
                    $0.becomeLoaded("CN=cloud")
                    $0.set(0x48, [0])
                }
            ),
        ]
        for (index, (wanted, change)) in changes.enumerated() {
            #expect(try code(change) == wanted, "change \(index)")
        }
        #expect(try code({ _ in }, { $0.roots = [:] }) == "snp.root.unknown")
        // In any order, and beside one that only has the issuer's name.
        #expect(try code { $0.isReversed = true } == "admitted")
        let namesake = try FakePKI.certificate(
            FakePKI.Template(subject: "SEV-Genoa", issuer: "ARK-Genoa"), of: other, by: other)
        let beside: Change = {
            $0.strangeCertificate = namesake
            $0.isReversed = true
        }
        #expect(try code(beside) == "admitted")
        // A P-256 key is none of AMD's, whatever it says of itself.
        let small = try PrivateKey.generate(.p256)
        var template = FakePKI.Template(subject: "SEV-VCEK", issuer: "SEV-Genoa")
        template.extensions = [
            ("1.3.6.1.4.1.3704.1.2", DER.tagged(0x16, Array("Genoa".utf8)))
        ]
        let weak = try FakePKI.certificate(template, of: small, by: other)
        let alone: Change = {
            $0.leavesOut = [0]
            $0.strangeCertificate = weak
        }
        #expect(try code(alone) == "snp.key.missing")
    }

    @Test func revocationIsLookedUp() throws {
        let other = try PrivateKey.generate(.p384)
        let changes: [(String, Change)] = [
            ("snp.crl.missing", { $0.hasList = false }), ("snp.revoked", { $0.revoked = [7] }),
            ("snp.crl.invalid", { $0.listTo = "270101000000Z" }),
            ("snp.crl.invalid", { $0.listFrom = "270601000000Z" }),
            ("snp.crl.invalid", { $0.listSigner = other }),
        ]
        for (wanted, change) in changes { #expect(try code(change) == wanted) }
        #expect(try code({ $0.hasList = false }, { $0.revocation = .any }) == "admitted")
        #expect(try code({ $0.revoked = [7] }, { $0.revocation = .any }) == "snp.revoked")
        #expect(try code({ $0.revoked = [] }) == "admitted")
    }

    @Test func theKeyMustBeOfThisChipAndFirmware() throws {
        var changes: [(String, Change)] = [
            ("snp.product.mismatch", { $0.set(0x189, [1]) }),
            ("snp.product.mismatch", { $0.productName = "Milan-B0" }),
            ("snp.key.tcb", { $0.levels["3.9"] = 0 }), ("snp.key.tcb", { $0.set(0x182, [1]) }),
            ("snp.chip_key.masked", { $0.set(0x48, [2]) }),
            ("snp.key.chip_id", { $0.set(0x1DF, [0]) }),
            ("snp.key.chip_id", { $0.hardwareID = nil }),
            ("snp.key.chip_id", { $0.hardwareID = Array(($0.hardwareID ?? [])[..<8]) }),
            ("snp.vlek.provider", { $0.becomeLoaded(nil) }),
            (
                "snp.vlek.provider",
                {
                    $0.becomeLoaded("CN=cloud")
                    $0.hardwareID = [UInt8](repeating: 0, count: 64)
                }
            ),
        ]
        for name in ["3.1", "3.2", "3.3", "3.8"] {
            changes.append(("snp.key.tcb", { $0.levels[name] = 9 }))
            changes.append(("snp.key.tcb", { $0.levels[name] = nil }))
        }
        for (index, (wanted, change)) in changes.enumerated() {
            #expect(try code(change) == wanted, "change \(index)")
        }
        let cloud: Change = { $0.becomeLoaded("CN=cloud") }
        #expect(try code(cloud, { $0.loadedKey = .refused }) == "snp.vlek.provider")
        #expect(try code(cloud, { $0.loadedKey = .oneOf([]) }) == "snp.vlek.provider")
        #expect(try code(cloud, { $0.loadedKey = .oneOf(["CN=cloud"]) }) == "admitted")
        let chip: Change = {
            $0.becomeLoaded("CN=cloud")
            $0.hardwareID = [UInt8](repeating: 0, count: 64)
        }
        #expect(
            try code(chip, { $0.loadedKey = .oneOf(["CN=cloud"]) }) == "snp.vlek.provider")
        #expect(try code({ $0.becomeLoaded("C") }, { $0.loadedKey = .oneOf(["C"]) }) == "admitted")
        // The name of the provider has one form.
        for content in [
            [0x16, 0x80] + [UInt8](repeating: 0x41, count: 128), [0x16, 3, 0x43, 0x53, 0x50, 0x58],
            [0x16, 4, 0x43, 0x53, 0x50], [0x16, 0],
        ] {
            let change: Change = {
                $0.becomeLoaded(nil)
                $0.leaf.extensions = [("1.3.6.1.4.1.3704.1.5", content)]
            }
            #expect(try code(change) == "snp.vlek.provider")
        }
    }

    @Test func extensionsAreReadInOneEncodingOnly() throws {
        let name = Array("Genoa".utf8)
        let long = name + [0x2D] + [UInt8](repeating: 0x41, count: 0x81 - 6)
        let malformed: [[UInt8]] = [
            [0x16], [0x0C, 5] + name, [0x16, 5] + name + [0], [0x16, 7] + name + [0x2D, 1],
            [0x16, 0x81] + long,
        ]
        for content in malformed {
            let change: Change = {
                $0.productName = nil
                $0.leaf.extensions = [("1.3.6.1.4.1.3704.1.2", content)]
            }
            #expect(try code(change) == "snp.key.missing")
        }
        let padded: Change = {
            $0.levels["3.1"] = nil
            $0.leaf.extensions = [("1.3.6.1.4.1.3704.1.3.1", [2, 2, 0, 10])]
        }
        #expect(try code(padded) == "snp.key.tcb")
    }

    @Test func whatIsMissingOrNewIsTold() throws {
        let eight = [UInt8](repeating: 0, count: 8)
        #expect(SNPTCB(eight, product: .genoa) != nil)
        #expect(SNPTCB(eight + [0], product: .genoa) == nil)
        // The vectors of mitigations are claims of version 5 alone.
        for (version, has): (UInt8, Bool) in [(4, false), (5, true)] {
            var snp = try FakeSNP()
            snp.set(0, [version])
            let report = try SNPReport(SNPEvidence.fields(snp.evidence()).report)
            #expect((report.claims["launch_mit_vector"] != nil) == has)
        }
        // The refusal of a product names those that are accepted.
        let snp = try FakeSNP()
        var policy = snp.policy
        policy.products[.genoa] = nil
        let evidence = try SNPEvidence.fields(snp.evidence())
        let read = try SNPEvidence(
            report: evidence.report, certificates: evidence.certificates,
            revocationList: evidence.revocationList)
        let refusal = #expect(throws: Refusal.self) {
            try SNPAppraisal(policy: policy.snp, evidence: read, now: FakePKI.now).run()
        }
        #expect(refusal?.code == "snp.product.refused")
        #expect(refusal?.expected == "milan or turin")
    }

    /// Endorsements of another type are not certificates, whatever is in them.
    @Test func certificatesAreCalledSo() throws {
        var snp = try FakeSNP()
        snp.leavesOut = [1]
        let middle = try FakePKI.certificate(snp.middle, of: snp.ask, by: snp.ark)
        for (mediaType, wanted) in [
            ("application/pkix-cert", "admitted"),
            ("application/octet-stream", "snp.chain.invalid"),
        ] {
            let fields = try SNPEvidence.fields(snp.evidence())
            let evidence = try SNPEvidence(
                report: fields.report, certificates: fields.certificates,
                revocationList: fields.revocationList,
                endorsements: [Endorsement(mediaType: mediaType, bytes: middle)])
            do throws(Refusal) {
                try SNPAppraisal(policy: snp.policy.snp, evidence: evidence, now: FakePKI.now).run()
                #expect(wanted == "admitted")
            } catch {
                #expect(error.code == wanted)
            }
        }
    }

    @Test func turinHasARuleOfItsOwn() throws {
        let changes: [(String, Change)] = [
            ("snp.key.tcb", { $0.levels["3.9"] = 5 }), ("snp.key.tcb", { $0.levels["3.9"] = nil }),
            ("snp.key.chip_id", { $0.set(0x1A8, [1]) }),
            ("snp.key.chip_id", { $0.hardwareID = Array($0.report[0x1A0..<0x1E0]) }),
            ("snp.tcb.malformed", { $0.set(0x3C, [1]) }),
            (
                "snp.version.product",
                {
                    $0.set(0, [2])
                    $0.set(0x188, [0, 0, 0])
                }
            ),
        ]
        for (wanted, change) in changes {
            let code = try code(
                {
                    $0.becomeTurin()
                    try change(&$0)
                },
                { $0.roots = [.turin: $0.roots[.genoa] ?? []] }
            )
            #expect(code == wanted)
        }
    }
}
