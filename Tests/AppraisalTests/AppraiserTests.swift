import Attestation
import Keys
import RATS
import Testing

@testable import Appraisal

/// What holds whatever vouches for a peer: how many pieces, of which kinds, with which index.
struct AppraiserTests {
    private let expected = Appraiser.ExpectedBinding(
        reportData: [UInt8](repeating: 1, count: 64),
        tpmQualifyingData: [UInt8](repeating: 0, count: 32))

    private func simulated(_ count: Int = 1) throws -> [Evidence] {
        let reportData = expected.reportData
        return try (0..<count).flatMap { _ in
            try SimulatedAttester().quote(
                QuoteChallenge(
                    tpmQualifyingData: [], gpuNonce: { _ in [] }, reportData: { _ in reportData }))
        }
    }

    private func authenticity(_ evidence: [Evidence]) -> String {
        do throws(Refusal) {
            _ = try Appraiser.authenticate(
                Appraiser.Submission(
                    evidence: evidence, endorsements: [], configuration: Array("{}".utf8)),
                expected: expected)
            return "authentic"
        } catch {
            return error.code
        }
    }

    private func peer(
        _ name: String = "peer", tier: PeerPolicy.Tier = .session,
        require: [EvidenceFormat: Int] = [.simulated: 1], simulated: Bool = true
    ) -> PeerPolicy {
        PeerPolicy(
            name: name, tier: tier, maxAge: 300, require: require, tpm: nil, simulated: simulated,
            configuration: [])
    }

    private func decide(
        _ evidence: [Evidence], _ peers: AppraisalPolicy.Peers, configuration: String = "{}",
        tier: AttestationResult.Tier = .session
    ) throws -> Refusal? {
        let authentic = try Appraiser.authenticate(
            Appraiser.Submission(
                evidence: evidence, endorsements: [], configuration: Array("{}".utf8)),
            expected: expected)
        do throws(Refusal) {
            _ = try Appraiser.decide(
                authentic, endorsements: [], configuration: Array(configuration.utf8),
                policy: AppraisalPolicy(mode: .enforce, peers: peers, digest: []),
                now: FakePKI.now, tier: tier)
            return nil
        } catch {
            return error
        }
    }

    @Test func piecesAreCounted() throws {
        #expect(authenticity([]) == "evidence.count.refused")
        #expect(authenticity(try simulated()) == "authentic")
        let other = Evidence(.snp, bytes: [1])
        let many = [Evidence](repeating: other, count: Appraiser.maxEvidence + 1)
        #expect(authenticity(many) == "evidence.count.refused")
        // Two pieces with report_data: which one is of this connection could not be told.
        #expect(authenticity(try simulated(2)) == "evidence.index.refused")
        let piece = try simulated()[0]
        let moved = Evidence(
            kind: piece.kind, index: 1, mediaType: piece.mediaType, bytes: piece.bytes)
        #expect(authenticity([moved]) == "evidence.index.refused")
    }

    @Test func devicesMayFillTheNumber() throws {
        let device = Evidence(.nvidiaGPU, bytes: [1])
        let most = [Evidence](repeating: device, count: Appraiser.maxEvidence)
        #expect(
            authenticity(most) == "nvidia.index.refused" || authenticity(most) == "nvidia.malformed"
        )
        #expect(authenticity(most + [device]) == "evidence.count.refused")
    }

    @Test func theMediaTypeIsOneOfThisKind() throws {
        let piece = try simulated()[0]
        func typed(_ mediaType: String, kind: EvidenceKind? = nil) -> String {
            authenticity([
                Evidence(
                    kind: kind ?? piece.kind, index: 0, mediaType: mediaType, bytes: piece.bytes)
            ])
        }
        #expect(typed(piece.mediaType) == "authentic")
        #expect(typed("application/json") == "evidence.format.unknown")
        #expect(typed(piece.mediaType, kind: .tpm) == "evidence.format.unknown")
    }

    @Test func aSoftwareKeyIsOneOnlyInItsOwnForm() throws {
        let data = expected.reportData
        let key = try PrivateKey.generate(.p256)
        let long = try PrivateKey.generate(.p384)
        func evidence(
            data: [UInt8]? = nil, key: PrivateKey, raw: [UInt8]? = nil, extra: Bool = false
        ) throws -> Evidence {
            let text = Array("ratel-attest/1 simulated\0".utf8) + (data ?? self.expected.reportData)
            var signature = try key.signRaw(text)
            if let raw { signature = raw }
            return Evidence(
                .simulated,
                bytes: CBORValue.fields([
                    (1, .bytes(data ?? self.expected.reportData)), (2, .bytes(key.spki)),
                    (3, .bytes(signature)), (4, extra ? .null : nil),
                ]).encoded())
        }
        #expect(authenticity([try evidence(key: key)]) == "authentic")
        #expect(
            authenticity([try evidence(key: key, raw: [UInt8](repeating: 1, count: 64))])
                == "simulated.signature.invalid")
        #expect(
            authenticity([try evidence(key: long, raw: [UInt8](repeating: 1, count: 64))])
                == "simulated.signature.invalid")
        #expect(
            authenticity([try evidence(data: data.reversed().dropLast() + [9], key: key)])
                == "simulated.report_data.mismatch")
        for bad in [
            try evidence(key: key, raw: [1]), try evidence(key: key, extra: true),
            try evidence(data: [1], key: key), Evidence(.simulated, bytes: []),
        ] {
            #expect(authenticity([bad]) == "simulated.malformed")
        }
    }

    @Test func theConfigurationIsAnObject() throws {
        let peers = AppraisalPolicy.Peers.appraised([peer()])
        #expect(try decide(simulated(), peers) == nil)
        for text in ["[]", "1", "\"x\"", "null", "", "{", "{}x"] {
            #expect(
                try decide(simulated(), peers, configuration: text)?.code
                    == "configuration.malformed")
        }
    }

    @Test func aPolicyThatNamesNobodyAdmitsNobody() throws {
        #expect(try decide(simulated(), .appraised([]))?.code == "policy.peer.none")
        #expect(try decide(simulated(), .anonymous)?.code == "policy.peer.none")
    }

    @Test func exactlyWhatIsRequiredIsTaken() throws {
        func outcome(
            _ require: [EvidenceFormat: Int], isSimulated: Bool = true
        ) throws -> String? {
            try decide(
                simulated(), .appraised([peer(require: require, simulated: isSimulated)]))?.code
        }
        #expect(try outcome([.simulated: 1]) == nil)
        #expect(try outcome([:]) == "evidence.kind.count")
        #expect(try outcome([.simulated: 2]) == "evidence.kind.count")
        #expect(try outcome([.simulated: 1, .tpm: 1]) == "evidence.kind.count")
        #expect(try outcome([.simulated: 1], isSimulated: false) == "simulated.refused")
    }

    @Test func nothingIsNotEnough() {
        let refusal = #expect(throws: Refusal.self) {
            try Appraiser.decide(
                [], endorsements: [], configuration: Array("{}".utf8),
                policy: AppraisalPolicy(
                    mode: .enforce, peers: .appraised([peer(require: [:])]), digest: []),
                now: FakePKI.now)
        }
        #expect(refusal?.code == "evidence.kind.count")
    }

    @Test func staticEvidenceIsNotEnoughForASession() throws {
        func outcome(
            _ wanted: PeerPolicy.Tier, _ tier: AttestationResult.Tier
        ) throws -> String? {
            try decide(simulated(), .appraised([peer(tier: wanted)]), tier: tier)?.code
        }
        #expect(try outcome(.session, .session) == nil)
        #expect(try outcome(.static, .session) == nil)
        #expect(try outcome(.static, .static) == nil)
        #expect(try outcome(.session, .static) == "policy.tier.mismatch")
    }

    /// Of several parts of a policy, the refusal is that of the part which came furthest.
    @Test func theFurthestRefusalTellsTheMost() throws {
        let early = peer("early", require: [.tpm: 1])
        let late = PeerPolicy(
            name: "late", tier: .session, maxAge: 300, require: [.simulated: 1], tpm: nil,
            simulated: true,
            configuration: [
                ConfigurationConstraint(path: ["access_log"], allowed: [.string("off")])
            ])
        for peers in [[early, late], [late, early]] {
            let refusal = try decide(simulated(), .appraised(peers))
            #expect(refusal?.code == "configuration.value.refused")
        }
        let last = try decide(simulated(), .appraised([early, peer("other", require: [.snp: 1])]))
        #expect(last?.field.hasPrefix("other") == true)
        #expect(try decide(simulated(), .appraised([early, peer()])) == nil)
    }

    @Test func aKindOfWhichThePolicySaysNothingIsRefused() throws {
        // Authentic, required and of this connection; but nothing says what it has to show.
        func code(_ format: EvidenceFormat, _ detail: AuthenticEvidence.Detail) -> String? {
            let evidence = AuthenticEvidence(
                format: format, index: 0, claims: Claims(), detail: detail)
            do throws(Refusal) {
                _ = try Appraiser.decide(
                    [evidence], endorsements: [], configuration: Array("{}".utf8),
                    policy: AppraisalPolicy(
                        mode: .enforce, peers: .appraised([peer(require: [format: 1])]),
                        digest: []),
                    now: FakePKI.now)
                return nil
            } catch {
                return error.code
            }
        }
        var enclave = try? FakeDCAP()
        enclave?.beEnclave(version: 3)
        for (format, fake) in [(EvidenceFormat.tdx, try FakeDCAP()), (.sgx, try #require(enclave))]
        {
            let bytes = try fake.quote()
            let dcap = DCAPEvidence(
                bytes: bytes, quote: try DCAPQuote(bytes), collateral: try fake.collateral())
            #expect(code(format, .dcap(dcap)) == "policy.\(format.rawValue).missing")
        }
    }

    /// An index is one device's: two pieces under one would be one answer counted twice.
    @Test func anIndexStandsForOnePiece() throws {
        let machine = try FakeNVIDIAMachine(gpus: 2)
        var twice = machine
        twice.indices = [0, 0]
        twice.devices[1].nonce = twice.devices[0].nonce
        #expect(try machine.code() == "admitted")
        #expect(try twice.code() == "evidence.index.duplicate")
    }
}
