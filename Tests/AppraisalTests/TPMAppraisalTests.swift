import Bytes
import Keys
import RATS
import Testing

@testable import Appraisal

struct TPMAppraisalTests {
    private let now: Int64 = 1_800_000_000

    private func appraise(
        _ tpm: FakeTPM,
        _ policy: FakePolicy,
        activations: [Activation] = []
    ) throws -> Appraiser.Outcome {
        try Appraiser.appraise(
            Appraiser.Submission(
                evidence: [tpm.evidence()],
                endorsements: [],
                configuration: Array("{}".utf8)
            ),
            expected: Appraiser.ExpectedBinding(
                reportData: [UInt8](repeating: 0, count: 64),
                tpmQualifyingData: [UInt8](repeating: 5, count: 32)
            ),
            policy: policy.policy,
            now: now,
            activations: activations
        )
    }

    private func code(_ tpm: FakeTPM, _ policy: FakePolicy) -> String {
        do {
            _ = try appraise(tpm, policy)
            return "admitted"
        } catch let refusal as Refusal {
            return refusal.code
        } catch {
            return "\(error)"
        }
    }

    @Test func goodEvidenceIsAdmittedWithItsClaims() throws {
        let tpm = try FakeTPM()
        guard case .admitted(let result) = try appraise(tpm, FakePolicy(tpm)) else {
            Issue.record("not admitted")
            return
        }
        #expect(result.peer == "node")
        #expect(result.evidence[0].claims["ak.name"] == .bytes(tpm.name))
        #expect(result.evidence[0].claims["pcr.7"] == .bytes([UInt8](repeating: 2, count: 32)))
        #expect(result.evidence[0].claims["reset_count"] == .number(3))
        #expect(result.json["evidence"]?.items?[0]["claims"]?["pcr"]?["bank"]?.text == "sha256")
    }

    @Test func everyLineOfTheEvidenceHasItsOwnRefusal() throws {
        let mutations: [(String, (inout FakeTPM) -> Void)] = [
            ("tpm.attest.magic", { $0.magic = 0xFF54_4346 }),
            ("tpm.attest.type", { $0.type = 0x8017 }),
            ("tpm.malformed", { $0.safe = 2 }), ("tpm.malformed", { $0.trailing = [0] }),
            ("tpm.signature.hash", { $0.signatureScheme[1] = 0x0004 }),
            ("tpm.signature.invalid", { $0.tampersWithSignature = true }),
            ("tpm.signature.invalid", { $0.keyScheme[1] = 0x000C }),
            ("tpm.signature.invalid", { $0.signatureScheme[1] = 0x000C }),
            ("tpm.malformed", { $0.signatureScheme[0] = 0x001A }),
            ("tpm.ak.algorithm", { $0.nameAlgorithm = 0x0004 }),
            ("tpm.pcr.bank", { $0.bank = 0x0004 }),
            ("tpm.pcr.duplicate", { $0.selections.append((0x000B, [0, 0, 0])) }),
            ("tpm.pcr.selection", { $0.selections.append((0x000C, [0, 0, 0])) }),
            ("tpm.pcr.selection", { $0.selections = [(0x000C, [0x81, 0, 0])] }),
            ("tpm.pcr.selection", { $0.selections = [(0x000B, [0x01, 0, 0])] }),
            ("tpm.pcr.selection", { $0.selections = [] }),
            (
                "tpm.pcr.digest",
                { $0.sent = $0.values.mapValues { _ in [UInt8](repeating: 1, count: 32) } }
            ),
            (
                "tpm.pcr.duplicate",
                { $0.selections = Array(repeating: (0x000B, [0x81, 0, 0, 0]), count: 16) }
            ),
            (
                "tpm.malformed",
                { $0.selections = Array(repeating: (0x000B, [0x81, 0, 0]), count: 17) }
            ),
            ("tpm.malformed", { $0.selections = [(0x000B, [0x81, 0, 0, 0, 0])] }),
            (
                "tpm.malformed",
                {
                    $0.selections = [(0x000B, [0, 0, 0, 1])]
                    $0.values = [24: [UInt8](repeating: 1, count: 32)]
                }
            ),
            ("tpm.malformed", { $0.sent = [:] }),
            ("tpm.malformed", { $0.sent = [0: [1]] }),
        ]
        for (code, mutate) in mutations {
            var tpm = try FakeTPM()
            mutate(&tpm)
            #expect(self.code(tpm, FakePolicy(tpm)) == code)
        }
        // fixedTPM, fixedParent, sensitiveDataOrigin, restricted, decrypt, sign
        for bit: UInt32 in [1, 4, 5, 16, 17, 18] {
            var tpm = try FakeTPM()
            tpm.attributes ^= 1 << bit
            #expect(self.code(tpm, FakePolicy(tpm)) == "tpm.ak.attributes", "bit \(bit)")
        }
    }

    @Test func theQuoteMustBeOfThisConnection() throws {
        let tpm = try FakeTPM()
        let refusal = #expect(throws: Refusal.self) {
            try Appraiser.appraise(
                Appraiser.Submission(
                    evidence: [tpm.evidence()],
                    endorsements: [],
                    configuration: Array("{}".utf8)
                ),
                expected: Appraiser.ExpectedBinding(
                    reportData: [UInt8](repeating: 0, count: 64),
                    tpmQualifyingData: [UInt8](repeating: 6, count: 32)
                ),
                policy: FakePolicy(tpm).policy,
                now: now
            )
        }
        #expect(refusal?.code == "tpm.nonce.mismatch")
        #expect(refusal?.stage == .binding)
    }

    @Test func everyLineOfThePolicyHasItsOwnRefusal() throws {
        let one = [UInt8](repeating: 1, count: 32)
        let mutations: [(String, (inout FakePolicy) -> Void)] = [
            ("tpm.ak.name", { $0.key = .pinned([]) }),
            ("tpm.ak.name", { $0.key = .pinned([[0, 0x0B] + one]) }),
            ("tpm.ek.missing", { $0.key = .endorsed(roots: [], keys: .any) }),
            ("tpm.pcr.selection", { $0.pcrs[1] = .any }),
            ("tpm.pcr.selection", { $0.pcrs[7] = nil }),
            ("tpm.pcr.selection", { $0.bank = .sha384 }),
            ("tpm.pcr.mismatch", { $0.pcrs[7] = .oneOf([one]) }),
            ("tpm.pcr.mismatch", { $0.pcrs[7] = .oneOf([]) }),
            ("tpm.reset_count", { $0.resetCount = .oneOf([2, 4]) }),
            ("tpm.restart_count", { $0.restartCount = .oneOf([]) }),
            ("tpm.firmware.old", { $0.firmware = .atLeast(0x2020_0101_0000_0001) }),
            ("tpm.event_log.missing", { $0.eventLog = .replayed }),
        ]
        let tpm = try FakeTPM()
        for (code, mutate) in mutations {
            var policy = FakePolicy(tpm)
            mutate(&policy)
            #expect(self.code(tpm, policy) == code)
        }
        var unsafe = tpm
        unsafe.safe = 0
        #expect(self.code(unsafe, FakePolicy(tpm)) == "tpm.clock.unsafe")
        var lenient = FakePolicy(tpm)
        lenient.allowsUnsafeClock = true
        #expect(self.code(unsafe, lenient) == "admitted")
    }

    private func certify(
        _ key: PrivateKey,
        from start: Int64,
        usage: String = "2.23.133.8.1"
    ) throws -> Certificate {
        try LeafCertificate.make(
            key: key,
            commonName: "ek",
            now: start,
            lifetime: 60,
            usages: [usage]
        )
    }

    @Test func endorsementKeysMustBeCertifiedAllowedAndProved() throws {
        let key = try PrivateKey.generate()
        let certificate = try certify(key, from: now)
        let other = try certify(try PrivateKey.generate(), from: now)
        let old = try certify(key, from: now - 90)
        let server = try certify(key, from: now, usage: "1.3.6.1.5.5.7.3.1")
        var tpm = try FakeTPM()
        tpm.endorsementCertificate = certificate.der
        var policy = FakePolicy(tpm)
        policy.key = .endorsed(roots: [other], keys: .any)
        #expect(code(tpm, policy) == "tpm.ek.certificate")
        policy.key = .endorsed(roots: [], keys: .any)
        #expect(code(tpm, policy) == "tpm.ek.certificate")
        policy.key = .endorsed(roots: [certificate], keys: .oneOf([]))
        #expect(code(tpm, policy) == "tpm.ek.key")
        var expired = tpm
        expired.endorsementCertificate = old.der
        policy.key = .endorsed(roots: [old], keys: .any)
        #expect(code(expired, policy) == "tpm.ek.certificate")
        expired.endorsementCertificate = server.der
        policy.key = .endorsed(roots: [server], keys: .any)
        #expect(code(expired, policy) == "tpm.ek.certificate")

        policy.key = .endorsed(
            roots: [certificate],
            keys: .oneOf([Digest.sha256(key.spki)])
        )
        guard case .activation(let request) = try appraise(tpm, policy) else {
            Issue.record("admitted without proof")
            return
        }
        // Only RSA endorsement keys get credentials, so far.
        #expect(throws: Refusal.self) { try request.makeCredential() }
        let wrongName = Activation(
            endorsementKeyHash: Digest.sha256(key.spki),
            attestationKeyName: [0]
        )
        let wrongKey = Activation(endorsementKeyHash: [0], attestationKeyName: tpm.name)
        for proof in [wrongName, wrongKey] {
            guard case .activation = try appraise(tpm, policy, activations: [proof]) else {
                Issue.record("admitted by another's proof")
                return
            }
        }
        let proof = Activation(
            endorsementKeyHash: Digest.sha256(key.spki),
            attestationKeyName: tpm.name
        )
        guard case .admitted = try appraise(tpm, policy, activations: [proof]) else {
            Issue.record("not admitted")
            return
        }
        let pending = PendingActivation(
            credential: CredentialChallenge(idObject: [], encryptedSecret: []),
            secret: [1, 2, 3],
            proof: proof
        )
        #expect(try pending.confirm([1, 2, 3]) == proof)
        for answer: [UInt8] in [[], [1, 2, 4], [1, 2, 3, 0]] {
            let refusal = #expect(throws: Refusal.self) { try pending.confirm(answer) }
            #expect(refusal?.code == "tpm.activation.failed")
        }
        // A policy that cares for nothing else still refuses other state before it asks for proof.
        policy.pcrs[7] = .oneOf([])
        #expect(code(tpm, policy) == "tpm.pcr.mismatch")
    }

    @Test func anAuthorityIsNoEndorsementKey() throws {
        let key = try PrivateKey.generate()
        let authority = try PrivateKey.generate()
        var template = FakePKI.Template(subject: "EK", issuer: "Vendor")
        let usage = DER.sequence([DER.objectIdentifier("2.23.133.8.1")])
        template.extensions = [("2.5.29.37", usage)]
        let top = FakePKI.Template(subject: "Vendor", issuer: "Vendor", isAuthority: true)
        let root = try Certificate(der: FakePKI.certificate(top, of: authority, by: authority))
        var tpm = try FakeTPM()
        var policy = FakePolicy(tpm)
        policy.key = .endorsed(roots: [root], keys: .any)
        tpm.endorsementCertificate = try FakePKI.certificate(template, of: key, by: authority)
        guard case .activation = try appraise(tpm, policy) else {
            Issue.record("the good one was not asked for its proof")
            return
        }
        template.isAuthority = true
        tpm.endorsementCertificate = try FakePKI.certificate(template, of: key, by: authority)
        #expect(code(tpm, policy) == "tpm.ek.certificate")
    }

    @Test func aCloudsCertificateIsOfTheKeyAndNoAuthority() throws {
        let authority = try PrivateKey.generate()
        let top = FakePKI.Template(subject: "Cloud", issuer: "Cloud", isAuthority: true)
        let root = try Certificate(der: FakePKI.certificate(top, of: authority, by: authority))
        func outcome(
            of key: PrivateKey? = nil, isAuthority: Bool = false, to: String = "280101000000Z",
            count: Int = 1
        ) throws -> String {
            var tpm = try FakeTPM()
            var leaf = FakePKI.Template(
                subject: "AK", issuer: "Cloud", to: to, isAuthority: isAuthority)
            leaf.serial = 5
            let der = try FakePKI.certificate(leaf, of: key ?? tpm.key, by: authority)
            // Read from an NV index, with what fills it up.
            tpm.keyCertificates = Array(repeating: der + [0xFF, 0xFF], count: count)
            var policy = FakePolicy(tpm)
            policy.key = .certified(roots: [root])
            return code(tpm, policy)
        }
        #expect(try outcome() == "admitted")
        #expect(try outcome(count: 8) == "admitted")
        #expect(try outcome(count: 9) == "tpm.malformed")
        #expect(try outcome(count: 0) == "tpm.ak.certificate")
        #expect(try outcome(of: authority) == "tpm.ak.certificate")
        #expect(try outcome(isAuthority: true) == "tpm.ak.certificate")
        #expect(try outcome(to: "270101000000Z") == "tpm.ak.certificate")
    }

    @Test func onlyRSAKeysGetCredentials() throws {
        let request = ActivationRequest(
            endorsementKey: try PrivateKey.generate().publicKey, attestationKeyName: [0, 0x0B])
        let refusal = #expect(throws: Refusal.self) { try request.makeCredential() }
        #expect(refusal?.code == "tpm.ek.algorithm")
    }

    @Test func keyDerivationMeetsItsDefinition() {
        // SP 800-108 in counter mode, worked out with another HMAC-SHA-256.
        let derived = ActivationRequest.derive(
            .sha256,
            [UInt8](repeating: 7, count: 32),
            "STORAGE",
            [0, 0x0B, 1, 2, 3],
            bits: 128
        )
        #expect(Hex.encode(derived) == "f1aee2449eff224d32727d19b5804583")
    }
}
