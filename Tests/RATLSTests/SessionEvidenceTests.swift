import Appraisal
import Keys
import RATS
import Testing

@testable import RATLS

/// Evidence that was kept of a connection, appraised without it.
struct SessionEvidenceTests {
    /// What a client keeps of a server that it admitted.
    private func kept(asksToKeep: Bool = true) throws -> SessionEvidence? {
        var (client, server) = try Sample.oneWay()
        client.keepsEvidence = asksToKeep
        server.configuration = Array(#"{"receipt_key":"k"}"#.utf8)
        var wire = Wire(client: client, server: server)
        wire.run()
        return wire.client.admit().evidence
    }

    private func outcome(_ json: JSONValue, _ policy: AppraisalPolicy? = Sample.policy()) -> String
    {
        do throws(Refusal) {
            let evidence = try SessionEvidence(reading: json)
            let result = try evidence.job(under: policy).run().get().result()
            return result?.peer ?? "seen"
        } catch {
            return error.code
        }
    }

    @Test func whoWasNotThereAppraisesIt() throws {
        let evidence = try #require(try kept())
        let text = evidence.json.serialised()
        let read = try SessionEvidence(reading: JSONParser.parse(Array(text.utf8)))
        #expect(read == evidence)
        #expect(read.configuration == Array(#"{"receipt_key":"k"}"#.utf8))
        #expect(read.time == 1_800_000_000)
        #expect(outcome(evidence.json) == "dev-box")
        #expect(outcome(evidence.json, nil) == "seen")
        #expect(outcome(evidence.json, Sample.policy(simulated: false)) != "dev-box")
    }

    @Test func nothingIsKeptUnlessItIsAsked() throws {
        #expect(try kept(asksToKeep: false) == nil)
    }

    /// Each input of the binding, and each byte of what was sent that the Evidence covers.
    @Test func nothingInItCanBeChanged() throws {
        let evidence = try #require(try kept())
        let members = try #require(evidence.json.members)
        func changed(_ name: String, to value: JSONValue) -> JSONValue {
            .object(members.map { $0.name == name ? .init(name, value) : $0 })
        }
        for name in ["attester_key_hash", "peer_key_hash", "challenge_hash", "exported"] {
            let other = JSONValue.string(Hex.encode([UInt8](repeating: 7, count: 32)))
            #expect(outcome(changed(name, to: other)) == "binding.signature.invalid", "\(name)")
            let short = JSONValue.string("00")
            #expect(outcome(changed(name, to: short)) == "evidence.session.malformed", "\(name)")
        }
        #expect(outcome(changed("peer_key_hash", to: .null)) == "binding.signature.invalid")
        #expect(outcome(changed("sequence", to: .integer(1))) == "binding.signature.invalid")
        #expect(outcome(changed("role", to: .string("client"))) == "binding.signature.invalid")
        #expect(outcome(changed("type", to: .string("x"))) == "evidence.session.malformed")
        // Another configuration, which names another key.
        let body = try #require(evidence.json["body"]?.text)
        let forged = body.replacing(
            Hex.encode(Array(#""k"}"#.utf8)), with: Hex.encode(Array(#""l"}"#.utf8)))
        #expect(forged != body)
        #expect(outcome(changed("body", to: .string(forged))) == "binding.signature.invalid")
        for index in stride(from: 0, to: body.utf8.count, by: 2) {
            var bytes = try #require(Hex.decode(body))
            bytes[index / 2] ^= 1
            #expect(outcome(changed("body", to: .string(Hex.encode(bytes)))) != "dev-box")
        }
    }
}
