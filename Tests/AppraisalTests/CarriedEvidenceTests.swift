import Attestation
import Keys
import RATS
import Testing

@testable import Appraisal

/// What a policy makes of Evidence over a key.
struct CarriedEvidenceTests {
    private func policy(
        _ tier: PeerPolicy.Tier, configuration: [ConfigurationConstraint] = []
    ) -> AppraisalPolicy {
        let peer = PeerPolicy(
            name: "server", tier: tier, maxAge: 300, require: [.simulated: 1], tpm: nil,
            simulated: true, configuration: configuration)
        return AppraisalPolicy(mode: .enforce, peers: .appraised([peer]), digest: [])
    }

    private func carried(_ leaf: FakeLeaf) throws -> (CarriedEvidence, Certificate) {
        let evidence = try SimulatedAttester().quote(StaticBinding(spki: leaf.key.spki).challenge)
        let record = CBORValue.array([
            .text(evidence[0].mediaType), .bytes(evidence[0].bytes), .unsigned(4),
        ])
        let certificate = try leaf.certificate([
            ("1.3.6.1.5.5.7.1.35", DER.octetString(record.encoded()))
        ])
        return (try AttestedLeaf(certificate, now: FakeLeaf.now).carried[0], certificate)
    }

    private func code(_ appraise: () throws(Refusal) -> AttestationResult) -> String {
        do throws(Refusal) {
            _ = try appraise()
            return "admitted"
        } catch {
            return error.code
        }
    }

    @Test func aResultEndsWithTheCertificate() throws {
        let (carried, certificate) = try carried(try FakeLeaf())
        let result = try carried.appraise(
            policy(.static), tier: .static, end: certificate.notAfter, now: FakeLeaf.now)
        #expect(result.tier == .static)
        #expect(result.validUntil == certificate.notAfter)
        #expect(result.lifetime(at: certificate.notAfter - 5) == 5)
        #expect(result.lifetime(at: FakeLeaf.now) == 300)
    }

    @Test func aPolicyHasToSayStatic() throws {
        let (carried, _) = try carried(try FakeLeaf())
        #expect(policy(.static).acceptsStatic)
        #expect(!policy(.session).acceptsStatic)
        #expect(
            code { () throws(Refusal) in
                try carried.appraise(policy(.session), tier: .static, now: FakeLeaf.now)
            } == "policy.tier.mismatch")
        // What covers the session is worth more than what covers a key.
        for tier in [PeerPolicy.Tier.session, .static] {
            #expect(
                code { () throws(Refusal) in
                    try carried.appraise(policy(tier), tier: .session, now: FakeLeaf.now)
                } == "admitted")
        }
    }

    /// user_data is as long as what it covers; zeros behind are more than that.
    @Test func aDocumentCoversExactlyAFormula() throws {
        func covers(_ value: [UInt8], _ userData: [UInt8]?) throws -> Bool {
            var nitro = try FakeNitro()
            nitro.set("user_data", userData.map { .bytes($0) })
            let piece = try ForeignPiece(
                document: try nitro.evidence(root: try nitro.rootCertificate()))
            let formula = CarriedEvidence.Formula("a value", value)
            return (try? CarriedEvidence(.evervault, "here", piece, [formula])) != nil
        }
        #expect(try covers([1, 2], [1, 2]))
        #expect(try !covers([1, 2], [1, 2] + [UInt8](repeating: 0, count: 62)))
        #expect(try !covers([UInt8](repeating: 1, count: 65), [1]))
        // A document that covers nothing covers no key, not even an empty one.
        #expect(try !covers([], nil))
    }

    @Test func anExpectationOfUserDataAloneIsNoConnections() throws {
        let nonce = [UInt8](repeating: 1, count: 48)
        let channel = Appraiser.ExpectedBinding.Nitro(nonce: nonce, publicKey: [2])
        #expect(channel.bytes != Appraiser.ExpectedBinding.Nitro.userDataAlone(nonce).bytes)
        #expect(
            channel.bytes
                != Appraiser.ExpectedBinding.Nitro(nonce: nonce, publicKey: [3]).bytes)
    }

    /// The formulas, written out: other verifiers work them out from the documentation.
    @Test func theBindingIsAsDocumented() throws {
        let spki = try FakeLeaf().key.spki
        // {"pubkey-hash": h'82 01 5820 …'}
        let claims =
            [0xA1, 0x6B] + Array("pubkey-hash".utf8) + [0x58, 0x24, 0x82, 0x01, 0x58, 0x20]
            + Digest.sha256(spki)
        #expect(StaticBinding.claims(spki: spki) == claims)
        let hash = Digest.sha256(claims)
        let challenge = StaticBinding(spki: spki).challenge
        #expect(challenge.reportData([]) == hash + [UInt8](repeating: 0, count: 32))
        #expect(
            challenge.tpmQualifyingData
                == Digest.sha256(Array("ratel-attest/1 static tpm\0".utf8) + hash))
        #expect(
            challenge.gpuNonce(3)
                == Digest.sha256(Array("ratel-attest/1 static gpu 3\0".utf8) + hash))
    }
}
