import Attestation
import Keys
import RATS
import Testing

/// Several roots of trust as one.
struct CompositeAttesterTests {
    /// Evidence that says which challenge it was made for.
    private struct Stub: Attester {
        let format: EvidenceFormat
        var name: String { format.rawValue }
        var kinds: [EvidenceKind] { [format.kind] }
        var secret: [UInt8]?

        func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence] {
            let covered =
                format.kind.carriesReportData
                ? challenge.reportData([]) : challenge.tpmQualifyingData
            return [Evidence(format, bytes: covered)]
        }

        func endorsements() throws(Refusal) -> [Endorsement] {
            [Endorsement(mediaType: name, bytes: [])]
        }

        func activate(_ credential: CredentialChallenge) throws(Refusal) -> [UInt8] {
            secret ?? []
        }
    }

    private let challenge = QuoteChallenge(
        tpmQualifyingData: [1], gpuNonce: { _ in [] },
        reportData: { others in others.flatMap(\.bytes) + [2] })

    @Test func theCPUCoversTheEvidenceOfTheTPM() throws {
        for order in [[EvidenceFormat.tdx, .tpm], [.tpm, .tdx]] {
            let both = try CompositeAttester(order.map { Stub(format: $0, secret: [7]) })
            let evidence = try both.quote(challenge)
            #expect(evidence.map(\.mediaType) == [EvidenceFormat.tpm, .tdx].map(\.mediaType))
            #expect(evidence.map(\.bytes) == [[1], [1, 2]])
            #expect(Set(both.kinds) == [.cpuTEE, .tpm])
            #expect(try both.endorsements().map(\.mediaType) == ["tpm", "tdx"])
            #expect(!both.isSimulated)
            let credential = CredentialChallenge(idObject: [], encryptedSecret: [])
            #expect(try both.activate(credential) == [7])
        }
    }

    @Test func twoThatWouldHoldTheManifestAreRefused() {
        for pair in [
            [EvidenceFormat.tdx, .snp], [.tdx, .nitro], [.tpm, .tpm], [.sgx, .simulated],
        ] {
            #expect(throws: Refusal.self) {
                try CompositeAttester(pair.map { Stub(format: $0) })
            }
        }
    }

    @Test func withoutATPMNothingIsActivated() throws {
        let alone = try CompositeAttester([Stub(format: .tdx, secret: [7])])
        #expect(throws: Refusal.self) {
            try alone.activate(CredentialChallenge(idObject: [], encryptedSecret: []))
        }
    }
}
