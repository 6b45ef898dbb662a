import Attestation
import Keys
import RATLS
import RATS
import Testing

/// Challenges outside the exchange: what they are bound to, and what is no challenge.
struct AnsweredChallengeTests {
    private static let nonce = [UInt8](repeating: 7, count: 32)
    private static let configuration = Array(#"{"access_log":"off"}"#.utf8)

    private func challenge(kinds: [UInt64] = [255]) -> [UInt8] {
        CBORValue.map([
            .init(.unsigned(1), .bytes(AnsweredChallengeTests.nonce)),
            .init(.unsigned(2), .array(kinds.map { .unsigned($0) })),
            .init(.unsigned(3), .array([])),
        ]).encoded()
    }

    private func channel(localSPKI: [UInt8]? = Sample.serverKey, secret: [UInt8]? = [1, 2, 3])
        -> ChannelFacts
    {
        ChannelFacts(
            channelID: 1, role: .server, localSPKI: localSPKI, peerSPKI: nil,
            export: { label, context in
                secret.map { Digest.sha256.authenticate(Array(label.utf8) + context, key: $0) }
            })
    }

    private func settings(_ attester: (any Attester)?) -> ExchangeSettings {
        ExchangeSettings(
            asks: .policy(Sample.anonymous),
            attestation: attester.map { .init(attester: $0, bindingKeys: Wire.anyBindingKeys) },
            configuration: AnsweredChallengeTests.configuration)
    }

    private func code(
        _ bytes: [UInt8], _ channel: ChannelFacts? = nil, attests: Bool = true
    ) throws -> String? {
        let attester: (any Attester)? = attests ? try SimulatedAttester() : nil
        do throws(Refusal) {
            _ = try AnsweredChallenge(
                bytes, sequence: 0, channel: channel ?? self.channel(), settings: settings(attester)
            )
            return nil
        } catch {
            return error.code
        }
    }

    /// The signature covers the base that the formulas of `Binding` give for this sequence.
    @Test(arguments: [0, 1, 9, UInt32.max]) func theAnswerIsOfThisConnection(
        sequence: UInt32
    ) throws {
        let asked = challenge()
        let answered = try AnsweredChallenge(
            asked, sequence: sequence, channel: channel(),
            settings: settings(try SimulatedAttester()))
        let body = try EvidenceBody.decode(try answered.body(try answered.job.run().get()))
        #expect(body.configuration == AnsweredChallengeTests.configuration)
        let hash = Binding.challengeHash(asked)
        let context = Binding.exporterContext(
            challengeHash: hash, attesterNonce: body.nonce, sequence: sequence)
        let exported = Digest.sha256.authenticate(
            Array("EXPERIMENTAL-ratel-attest/1 server".utf8) + context, key: [1, 2, 3])
        let base = Binding.base(
            .init(
                role: .server, sequence: sequence,
                attesterKeyHash: Digest.sha256(Sample.serverKey), peerKeyHash: nil,
                challengeHash: hash, attesterNonce: body.nonce, exported: exported,
                configurationHash: Digest.sha384(body.configuration)))
        let text = Binding.evidenceToSign(base: base, manifest: Binding.manifest([]))
        let key = try PublicKey(spki: body.bindingKey)
        #expect(key.verifies(raw: body.signature, over: text, digest: .sha256))
    }

    @Test func noncesAreNeverTheSame() throws {
        var nonces: Set<[UInt8]> = []
        for _ in 0..<100 {
            let answered = try AnsweredChallenge(
                challenge(), sequence: 0, channel: channel(),
                settings: settings(try SimulatedAttester()))
            let body = try answered.body(try answered.job.run().get())
            nonces.insert(try EvidenceBody.decode(body).nonce)
        }
        #expect(nonces.count == 100)
    }

    @Test func whatCannotBeAnsweredIsSaid() throws {
        #expect(try code(challenge()) == nil)
        #expect(try code([0xA0]) == "exchange.challenge.empty")
        #expect(try code([]) == "exchange.challenge.malformed")
        #expect(try code(challenge() + [0]) == "exchange.challenge.malformed")
        #expect(try code(challenge(kinds: [3])) == "attester.kind.unwanted")
        #expect(try code(challenge(), attests: false) == "attester.none")
        #expect(try code(challenge(), channel(localSPKI: nil)) == "exchange.certificate.missing")
        #expect(try code(challenge(), channel(secret: nil)) == "exchange.exporter.failed")
        #expect(try code(challenge(), channel(secret: [])) == nil)
    }

    @Test func oneAtATimeAndOnlyAnswersCount() {
        var count = ChallengeCount(answered: 0)
        #expect(count.begin() == 0)
        #expect(count.begin() == nil)
        count.end(isAnswered: false)
        #expect(count.begin() == 0)
        count.end(isAnswered: true)
        #expect(count.begin() == 1)
        count.end(isAnswered: true)
        #expect(ChallengeCount(answered: 1).next == 1)
    }

    @Test func theLastNumberStays() {
        var count = ChallengeCount(answered: .max)
        #expect(count.begin() == .max)
        count.end(isAnswered: true)
        #expect(count.begin() == .max)
    }
}
