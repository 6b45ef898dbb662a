import Attestation
import Keys
import RATS
import Testing

@testable import Appraisal
@testable import RATLS

/// Jobs that end late, frames out of order, proofs asked twice: each step of the exchange by hand.
struct ExchangeOrderTests {
    /// A TPM of a test that opens every credential.
    private struct OpeningAttester: Attester {
        let inner: SimulatedAttester
        var name: String { inner.name }
        var kinds: [EvidenceKind] { inner.kinds }

        func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence] {
            try inner.quote(challenge)
        }

        func activate(_ credential: CredentialChallenge) throws(Refusal) -> [UInt8] { [1, 2, 3] }
    }

    private func wire() throws -> Wire {
        var (client, server) = try Sample.mutual()
        server.attester = OpeningAttester(inner: try SimulatedAttester())
        client.attester = OpeningAttester(inner: try SimulatedAttester())
        return Wire(client: client, server: server)
    }

    /// The client has the server's Evidence, and has not looked at it.
    private func wireWithEvidence() throws -> Wire {
        var wire = try wire()
        wire.server.receive(wire.client.start())
        wire.client.receive(wire.server.start())
        wire.server.quoted(try quoteJob(&wire.server).run())
        guard case .send(let evidence) = wire.server.next() else {
            throw KeyError(.malformed, "no Evidence")
        }
        wire.client.receive(evidence)
        return wire
    }

    private let credential = Frame(
        .activation,
        ActivationBody.encode(CredentialChallenge(idObject: [1], encryptedSecret: [2]))
    ).encoded

    private func quoteJob(_ exchange: inout Exchange) throws -> QuoteJob {
        guard case .quote(let job) = exchange.next() else { throw KeyError(.malformed, "no job") }
        return job
    }

    /// What a side says after all of it: frames by their kind, then the code.
    private func rest(_ exchange: inout Exchange) -> [String] {
        var said: [String] = []
        for _ in 0..<10 {
            switch exchange.next() {
            case .send(let bytes): said.append("frame \(bytes[0])")
            case .refused(let refusal): return said + [refusal.code]
            case .settled: return said + ["settled"]
            case .wait: return said + ["wait"]
            default: return said + ["job"]
            }
        }
        return said
    }

    private func overflow(_ exchange: inout Exchange) {
        exchange.receive([2, 0x0F, 0xFF, 0xFF] + [UInt8](repeating: 0, count: 65 * 1024))
    }

    @Test func aQuoteThatComesTooLateIsNotSent() throws {
        var wire = try wire()
        wire.server.receive(wire.client.start())
        let job = try quoteJob(&wire.server)
        overflow(&wire.server)
        #expect(rest(&wire.server) == ["frame 4", "exchange.unread.too_long"])
        wire.server.quoted(job.run())
        #expect(rest(&wire.server) == ["exchange.unread.too_long"])
    }

    @Test func anAppraisalThatComesTooLateAdmitsNobody() throws {
        var wire = try wireWithEvidence()
        guard case .appraise(let job) = wire.client.next() else {
            Issue.record("no appraisal")
            return
        }
        overflow(&wire.client)
        #expect(rest(&wire.client) == ["frame 4", "exchange.unread.too_long"])
        wire.client.appraised(job.run())
        #expect(rest(&wire.client) == ["exchange.unread.too_long"])
        #expect(!wire.client.isSettled)
    }

    @Test func aCredentialComesOnceAndAfterEvidence() throws {
        var wire = try wire()
        wire.client.receive(wire.server.start())
        wire.client.receive(credential)
        #expect(rest(&wire.client).last == "exchange.activation.unexpected")
        wire = try self.wire()
        wire.server.receive(wire.client.start())
        wire.server.quoted(try quoteJob(&wire.server).run())
        #expect(rest(&wire.server) == ["frame 2", "wait"])
        wire.server.receive(credential)
        wire.server.quoted(try quoteJob(&wire.server).run())
        #expect(rest(&wire.server) == ["frame 6", "wait"])
        wire.server.receive(credential)
        #expect(rest(&wire.server).last == "exchange.activation.unexpected")
    }

    @Test func aProofIsAskedForOnce() throws {
        var wire = try wireWithEvidence()
        let pending = PendingActivation(
            credential: CredentialChallenge(idObject: [1], encryptedSecret: [2]),
            secret: [1, 2, 3],
            proof: Activation(endorsementKeyHash: [1], attestationKeyName: [2]))
        let asks = AppraisalJob.Outcome(product: .activation(pending))
        guard case .appraise = wire.client.next() else {
            Issue.record("no appraisal")
            return
        }
        wire.client.appraised(.success(asks))
        #expect(rest(&wire.client) == ["frame 5", "wait"])
        wire.client.receive(Frame(.activated, ActivationBody.encode(secret: [1, 2, 3])).encoded)
        guard case .appraise = wire.client.next() else {
            Issue.record("no second appraisal")
            return
        }
        wire.client.appraised(.success(asks))
        #expect(rest(&wire.client).last == "tpm.activation.failed")
    }

    @Test func whoIsLookedAtLearnsThatItIsAllThere() throws {
        var (client, server) = try Sample.oneWay()
        client.asks = .inspection
        server.configuration = Array("{}".utf8)
        var wire = Wire(client: client, server: server)
        wire.run()
        guard case .refused(let refusal) = wire.serverEnd else {
            Issue.record("admitted by a person who only looks")
            return
        }
        #expect(refusal.code == "peer.refused")
        #expect(refusal.got.split(separator: " ").dropFirst().first == "policy.inspection:")
        let code = "policy.inspection"
        #expect(refusal.got.contains(code))
    }

    /// A frame of Evidence of the largest size, and one of a byte more.
    @Test func evidenceFillsItsFrame() throws {
        func sent(_ configuration: Int) throws -> [UInt8]? {
            var (client, server) = try Sample.mutual()
            server.configuration = [UInt8](repeating: 0x20, count: configuration)
            client.attester = nil
            var wire = Wire(client: client, server: server)
            wire.server.receive(wire.client.start())
            wire.server.quoted(try quoteJob(&wire.server).run())
            guard case .send(let bytes) = wire.server.next(), bytes[0] == 2 else { return nil }
            return bytes
        }
        let limit = Frame.Kind.evidence.limit
        let start = try #require(try sent(limit - 4096)).count - Frame.headerSize
        let most = limit - 4096 + limit - start
        #expect(try sent(most)?.count == limit + Frame.headerSize)
        #expect(try sent(most + 1) == nil)
    }
}
