import Appraisal
import Attestation
import Keys
import RATS
import Testing

@testable import RATLS

/// Parsers of what a peer sends: nothing traps, and what is read is written back the same.
struct ParserTests {
    /// xorshift64*, so that a failure can be run again.
    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state ^= state >> 12
            state ^= state << 25
            state ^= state >> 27
            return state &* 0x2545_F491_4F6C_DD1D
        }
    }

    private func mutate(_ seed: [UInt8], rounds: Int, _ body: ([UInt8]) throws -> Void) rethrows {
        var generator = Generator(state: 0x9E37_79B9_7F4A_7C15)
        try body(seed)
        for _ in 0..<rounds {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...3, using: &generator) where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                case 1: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                case 2: bytes.removeSubrange(place..<min(bytes.count, place + 3))
                default: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: place)
                }
            }
            try body(bytes)
        }
    }

    private var evidence: EvidenceBody {
        EvidenceBody(
            nonce: [UInt8](repeating: 1, count: 32),
            evidence: [
                Evidence(.tpm, bytes: [4]), Evidence(.tpm, index: 1, bytes: []),
                Evidence(.simulated, bytes: [1, 2, 3]),
            ],
            bindingKey: Sample.serverKey,
            path: MerkleTree.Path(
                neighbours: [[UInt8](repeating: 2, count: 48)],
                sides: 1
            ),
            configuration: Array("{}".utf8),
            endorsements: [Endorsement(mediaType: "application/pkix-cert", bytes: [7])],
            signature: [UInt8](repeating: 3, count: 64)
        )
    }

    @Test func bodiesAreReadInOneEncodingOnly() throws {
        let body = evidence
        #expect(try EvidenceBody.decode(body.encoded) == body)
        mutate(body.encoded, rounds: 1000) { bytes in
            guard let read = try? EvidenceBody.decode(bytes) else { return }
            #expect(read.encoded == bytes)
        }
        let challenge = ChallengeBody.make(kinds: [.tpm, .simulated])
        #expect(try ChallengeBody.decode(challenge.encoded) == challenge)
        mutate(challenge.encoded, rounds: 2000) { bytes in
            guard let read = try? ChallengeBody.decode(bytes) else { return }
            #expect(read.encoded == bytes)
        }
        mutate(ResultBody.admitted(leaseSeconds: 300).encoded, rounds: 500) {
            _ = try? ResultBody.decode($0)
        }
        let credential = CredentialChallenge(idObject: [1, 2], encryptedSecret: [3])
        mutate(ActivationBody.encode(credential), rounds: 500) { bytes in
            guard let read = try? ActivationBody.decode(bytes) else { return }
            #expect(ActivationBody.encode(read) == bytes)
        }
        mutate(Frame(.challenge, challenge.encoded).encoded, rounds: 1000) { bytes in
            guard let frame = try? Frame.decode(bytes[...]) else { return }
            #expect(bytes.starts(with: frame.encoded))
        }
    }

    @Test func challengesHaveTheirLimits() throws {
        let nonce = CBORValue.bytes([UInt8](repeating: 1, count: 32))
        let key = CBORValue.bytes([UInt8](repeating: 2, count: 32))
        func body(_ nonce: CBORValue?, _ kinds: CBORValue?, _ keys: CBORValue?) -> [UInt8] {
            CBORValue.fields([(1, nonce), (2, kinds), (3, keys)]).encoded()
        }
        let kinds = CBORValue.array([.unsigned(3)])
        let none = CBORValue.array([])
        #expect(throws: Never.self) { try ChallengeBody.decode(body(nonce, kinds, none)) }
        let refused = [
            body(nil, kinds, none), body(nonce, nil, none), body(nonce, kinds, nil),
            body(.bytes([1]), kinds, none), body(nonce, .array([.unsigned(256)]), none),
            body(nonce, .array(Array(repeating: .unsigned(3), count: 17)), none),
            body(nonce, kinds, .array(Array(repeating: key, count: 9))),
            body(nonce, kinds, .array([.bytes([1])])), body(nonce, kinds, key),
            [], [0xA1], [0x80], CBORValue.fields([(4, nonce)]).encoded(),
        ]
        for bytes in refused {
            let refusal = #expect(throws: Refusal.self) { try ChallengeBody.decode(bytes) }
            #expect(refusal?.code == "exchange.challenge.malformed")
        }
    }

    @Test func structuresOfTPMsNeverTrap() throws {
        guard let tpm = try SoftwareTPM.start() else { return }
        let evidence = try TPMAttester(TPMAttester.Settings(tcti: tpm.tcti)).quote(
            QuoteChallenge(
                tpmQualifyingData: [UInt8](repeating: 0, count: 32),
                gpuNonce: { _ in [] },
                reportData: { _ in [] }
            )
        )
        let fields = try CBORFields(decoding: evidence[0].bytes, allowed: [1, 2, 3, 4, 5, 6, 7])
        try mutate(fields.bytes(1), rounds: 2000) { _ = try? TPMSAttest($0) }
        try mutate(fields.bytes(2), rounds: 2000) { _ = try? TPMTSignature($0) }
        try mutate(fields.bytes(3), rounds: 1000) { _ = try? TPMTPublic($0) }
        let expected = Appraiser.ExpectedBinding(
            reportData: [UInt8](repeating: 0, count: 64),
            tpmQualifyingData: [UInt8](repeating: 0, count: 32)
        )
        mutate(evidence[0].bytes, rounds: 1000) { bytes in
            _ = try? Appraiser.authenticate(
                Appraiser.Submission(
                    evidence: [Evidence(.tpm, bytes: bytes)],
                    endorsements: [],
                    configuration: []
                ),
                expected: expected
            )
        }
    }
}
