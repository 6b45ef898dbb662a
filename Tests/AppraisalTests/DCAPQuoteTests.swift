import Keys
import RATS
import Testing

@testable import Appraisal

/// What is refused in the quote itself, each line by its own code.
struct DCAPQuoteTests {
    @Test func goodQuotesOfEveryVersionAreVerified() throws {
        try FakeDCAP.check([
            ("UpToDate", { _ in }),
            ("UpToDate", { $0.layout.version = 5 }),
            (
                "UpToDate",
                {
                    $0.layout.version = 5
                    $0.layout.bodyType = 3
                    $0.layout.body = FakeQuoteLayout.trustDomain15
                }
            ),
            ("UpToDate", { $0.beEnclave(version: 3) }), ("UpToDate", { $0.beEnclave(version: 4) }),
            (
                "UpToDate",
                {
                    $0.beEnclave(version: 5)
                    $0.layout.bodyType = 1
                }
            ),
        ])
    }

    @Test func everyLineOfTheHeaderHasItsRefusal() throws {
        try FakeDCAP.check([
            ("dcap.quote.version", { $0.layout.version = 2 }),
            ("dcap.quote.version", { $0.layout.version = 6 }),
            ("dcap.quote.key_type", { $0.layout.keyType = 3 }),
            ("dcap.quote.vendor", { $0.layout.vendor[15] ^= 1 }),
            ("dcap.quote.tee_type", { $0.layout.teeType = 0x80 }),
            ("dcap.quote.tee_type", { $0.layout.version = 3 }),
            ("dcap.quote.certification", { $0.layout.outerType = 5 }),
            ("dcap.quote.certification", { $0.layout.innerType = 3 }),
        ])
        // Version 5 says what follows and how long it is, and both have to fit the TEE.
        func body(_ type: UInt16, _ size: UInt32, _ tee: UInt32) -> FakeDCAP.Change {
            {
                $0.layout.version = 5
                $0.layout.bodyType = type
                $0.layout.bodySize = size
                $0.layout.teeType = tee
            }
        }
        try FakeDCAP.check([
            ("UpToDate", body(2, 584, 0x81)), ("dcap.quote.body", body(2, 648, 0x81)),
            ("dcap.quote.body", body(2, 584, 0)), ("dcap.quote.body", body(1, 384, 0x81)),
            ("dcap.quote.body", body(4, 584, 0x81)), ("dcap.quote.body", body(0, 584, 0x81)),
        ])
    }

    @Test func nothingMayFollowAndNothingBeMissing() throws {
        let size = try FakeDCAP().quote().count
        let room = DCAPQuote.maximumSize
        try FakeDCAP.check([
            ("dcap.quote.malformed", { $0.layout.afterChain = [0] }),
            ("dcap.quote.malformed", { $0.layout.afterWrapping = [0] }),
            ("dcap.quote.malformed", { $0.layout.trailing = [0, 0, 1] }),
            ("UpToDate", { $0.layout.trailing = [0, 0, 0] }),
            ("dcap.quote.malformed", { $0.quoteChange = { $0.removeLast() } }),
            ("dcap.quote.malformed", { $0.quoteChange = { $0 = Array($0[..<100]) } }),
            ("dcap.quote.malformed", { $0.quoteChange = { $0 = [] } }),
            (
                "UpToDate",
                { $0.quoteChange = { $0 += [UInt8](repeating: 0, count: room - $0.count) } }
            ),
            (
                "dcap.quote.malformed",
                { $0.quoteChange = { $0 += [UInt8](repeating: 0, count: room + 1 - $0.count) } }
            ),
        ])
        #expect(size < room)
    }

    @Test func everySignatureIsTheRightOnes() throws {
        let other = try PrivateKey.generate(.p256)
        try FakeDCAP.check([
            ("dcap.qe.signature", { $0.qeReportKey = other }),
            ("dcap.quote.signature", { $0.quoteKey = other }),
            ("dcap.qe.binding", { $0.layout.reportData = [UInt8](repeating: 0, count: 64) }),
            // The second half of the QE's report_data is zero.
            (
                "dcap.qe.binding",
                {
                    let point = Array($0.attestationKey.spki.suffix(64))
                    let bound = Digest.sha256(point + $0.layout.authentication)
                    $0.layout.reportData = bound + [UInt8](repeating: 0, count: 31) + [1]
                }
            ),
            ("dcap.quote.signature", { $0.quoteChange = { $0[48 + 136] ^= 1 } }),
            // The point of the attestation key is not on the curve.
            (
                "dcap.qe.binding",
                { $0.quoteChange = { $0[48 + 584 + 4 + 64] ^= 1 } }
            ),
        ])
    }

    @Test func theAttestationKeyIsAPoint() throws {
        var fake = try FakeDCAP()
        let wrong = [UInt8](repeating: 0xFF, count: 64)
        fake.layout.reportData =
            Digest.sha256(wrong + fake.layout.authentication) + [UInt8](repeating: 0, count: 32)
        fake.quoteChange = {
            $0.replaceSubrange(48 + 584 + 4 + 64..<48 + 584 + 4 + 128, with: wrong)
        }
        #expect(try fake.code() == "dcap.quote.signature")
    }

    @Test func whatNoPolicyCanAllowIsRefused() throws {
        func body(_ index: Int, _ value: UInt8) -> FakeDCAP.Change {
            { $0.layout.body[index] = value }
        }
        try FakeDCAP.check([
            ("dcap.tdx.debug", body(120, 1)), ("dcap.tdx.debug", body(120, 0x80)),
            ("dcap.tdx.attributes", body(121, 1)), ("dcap.tdx.attributes", body(126, 0x80)),
            ("dcap.tdx.attributes", body(123, 0x14)),
            ("UpToDate", body(123, 0xF8)), ("UpToDate", body(127, 0x80)),
            ("dcap.tdx.sept_ve", body(123, 0)),
            ("dcap.tdx.xfam", body(128, 0xE5)), ("dcap.tdx.xfam", body(128, 0xE6)),
            ("dcap.tdx.xfam", body(128, 0xEF)), ("dcap.tdx.xfam", body(135, 1)),
            (
                "dcap.sgx.debug",
                {
                    $0.beEnclave(version: 3)
                    $0.layout.body[48] |= 2
                }
            ),
            (
                "dcap.tdx.service_td",
                {
                    $0.layout.version = 5
                    $0.layout.bodyType = 3
                    $0.layout.body = FakeQuoteLayout.trustDomain15
                    $0.layout.body[647] = 1
                }
            ),
        ])
    }

    @Test func theCollateralIsOfTheQuotesKind() throws {
        let fake = try FakeDCAP()
        let bytes = try fake.quote()
        let quote = try DCAPQuote(bytes)
        let evidence = DCAPEvidence(bytes: bytes, quote: quote, collateral: try fake.collateral())
        let appraisal = DCAPAppraisal(evidence: evidence, now: FakePKI.now)
        let tcb = TCBPolicy(accept: [.upToDate], tolerate: [], minimumEvaluation: 0)
        let sgx = SGXPolicy(
            mrEnclave: .any, mrSigner: .any, productID: .any, minimumSVN: 0, tcb: tcb,
            platforms: .any, roots: fake.roots)
        let refusal = #expect(throws: Refusal.self) { try appraisal.run(sgx) }
        #expect(refusal?.code == "dcap.quote.tee_type")
        var enclave = try FakeDCAP()
        enclave.beEnclave(version: 3)
        let other = try enclave.quote()
        let tdx = TDXPolicy(
            mrTD: .any, rtmr: [.any, .any, .any, .any], mrConfigID: .any, mrOwner: .any,
            mrOwnerConfig: .any, allowedAttributes: 0, tcb: tcb, platforms: .any,
            roots: enclave.roots)
        let second = DCAPAppraisal(
            evidence: DCAPEvidence(
                bytes: other, quote: try DCAPQuote(other), collateral: try enclave.collateral()),
            now: FakePKI.now)
        #expect(
            #expect(throws: Refusal.self) { try second.run(tdx) }?.code == "dcap.quote.tee_type")
    }

    @Test func signaturesComeBeforeThePolicy() throws {
        var fake = try FakeDCAP()
        fake.quoteKey = try PrivateKey.generate(.p256)
        let submission = Appraiser.Submission(
            evidence: [Evidence(.tdx, bytes: try fake.quote())], endorsements: [],
            configuration: [])
        let expected = Appraiser.ExpectedBinding(
            reportData: [UInt8](repeating: 0x42, count: 64),
            tpmQualifyingData: [UInt8](repeating: 0, count: 32))
        let refusal = #expect(throws: Refusal.self) {
            try Appraiser.authenticate(submission, expected: expected)
        }
        #expect(refusal?.code == "dcap.quote.signature")
    }

    @Test func thePolicyComesOnTopOfTheRules() throws {
        func code(_ change: (inout FakeDCAP) -> Void, allowed: UInt64 = 0) throws -> String {
            var fake = try FakeDCAP()
            change(&fake)
            let bytes = try fake.quote()
            let evidence = DCAPEvidence(
                bytes: bytes, quote: try DCAPQuote(bytes), collateral: try fake.collateral())
            let policy = TDXPolicy(
                mrTD: .any, rtmr: [.any, .any, .any, .any], mrConfigID: .any, mrOwner: .any,
                mrOwnerConfig: .any, allowedAttributes: allowed,
                tcb: TCBPolicy(accept: [.upToDate], tolerate: [], minimumEvaluation: 20),
                platforms: .any, roots: fake.roots)
            do throws(Refusal) {
                try DCAPAppraisal(evidence: evidence, now: FakePKI.now).run(policy)
                return "admitted"
            } catch {
                return error.code
            }
        }
        let pks: UInt64 = 1 << 30
        #expect(try code({ _ in }) == "admitted")
        #expect(try code({ $0.layout.body[120] = 1 }, allowed: .max) == "dcap.tdx.debug")
        #expect(try code({ $0.layout.body[123] |= 0x40 }) == "dcap.tdx.attributes")
        #expect(try code({ $0.layout.body[123] |= 0x40 }, allowed: pks) == "admitted")
        #expect(try code({ $0.layout.body[123] |= 0x80 }, allowed: pks) == "dcap.tdx.attributes")
        #expect(try code({ $0.documents.evaluation = 19 }) == "dcap.tcb.evaluation")
    }

    @Test func theMediaTypeSaysWhichQuoteItIs() throws {
        let fake = try FakeDCAP()
        let quote = try fake.quote()
        let expected = Appraiser.ExpectedBinding(
            reportData: [UInt8](repeating: 0x42, count: 64),
            tpmQualifyingData: [UInt8](repeating: 0, count: 32))
        func code(_ format: EvidenceFormat, _ endorsements: [Endorsement]) -> String {
            do throws(Refusal) {
                _ = try DCAPEvidence.authenticate(
                    Evidence(format, bytes: quote), format: format, endorsements: endorsements,
                    expected: expected)
                return "authentic"
            } catch {
                return error.code
            }
        }
        let collateral = try fake.collateral().endorsement
        func changed(_ value: CBORValue) -> Endorsement {
            Endorsement(mediaType: collateral.mediaType, bytes: value.encoded())
        }
        let part = CBORValue.bytes([1])
        let five = (1...5).map { (UInt64($0), part) }
        #expect(code(.tdx, [collateral]) == "authentic")
        #expect(code(.tdx, []) == "authentic")
        // What else lies there is not for this.
        let stranger = Endorsement(mediaType: "application/pkix-cert", bytes: [1])
        #expect(code(.tdx, [stranger, collateral]) == "authentic")
        #expect(code(.sgx, [collateral]) == "dcap.quote.tee_type")
        #expect(code(.tdx, [changed(.fields(five))]) == "authentic")
        for wrong in [
            [collateral, collateral], [changed(.null)], [changed(.fields(five.dropLast()))],
            [changed(.fields(five + [(6, part)]))],
            [changed(.fields(five.dropLast() + [(6, part)]))],
            [changed(.fields(five.dropLast() + [(5, .text("x"))]))],
            [changed(.map([CBORValue.Entry(.text("a"), part)]))],
            [Endorsement(mediaType: collateral.mediaType, bytes: [0xFF])],
        ] {
            #expect(code(.tdx, wrong) == "dcap.collateral.malformed")
        }
        let none = #expect(throws: Refusal.self) { try DCAPCollateral(in: []) }
        #expect(none?.code == "dcap.collateral.missing")
    }
}

extension FakeDCAP {
    /// An enclave, with the collateral for it.
    mutating func beEnclave(version: UInt16) {
        layout.version = version
        layout.teeType = 0
        layout.bodyType = 1
        layout.body = FakeQuoteLayout.enclave
        layout.qeReport[256] = 1
        documents.set("id", "\"SGX\"")
        documents.setIdentity("id", "\"QE\"")
        documents.setIdentity("isvprodid", "1")
        documents.firstModule = nil
        documents.modules = []
        documents.levels[0].tdx = nil
    }
}
