import Appraisal
import Attestation
import Keys
import RATLS
import RATS
import Testing

struct ExchangeTests {
    @Test func aServerIsAdmittedByItsEvidence() throws {
        let (client, server) = try Sample.oneWay()
        var wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.isSettled)
        #expect(wire.serverEnd.isSettled)
        let admitted = wire.client.admit()
        #expect(admitted.channelID == 1)
        #expect(admitted.name == "dev-box")
        #expect(admitted.result?.isSimulated == true)
        #expect(admitted.result?.tier == .session)
        #expect(admitted.result?.configuration == server.configuration)
        let other = wire.server.admit()
        #expect(other.name == "anonymous")
    }

    @Test func bothSidesAreAdmitted() throws {
        let (client, server) = try Sample.mutual()
        var wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.isSettled && wire.serverEnd.isSettled)
        #expect(wire.server.admit().result?.peer == "dev-box")
        let order = wire.frames.map { "\($0.from) \($0.bytes[0])" }
        #expect(
            order == [
                "client 1", "server 1", "server 2", "client 4", "client 2", "server 4",
            ]
        )
    }

    @Test func nothingIsAskedWhereBothPoliciesAreAnonymous() {
        let side = Wire.Side(asks: .policy(Sample.anonymous))
        var wire = Wire(client: side, server: side)
        wire.run()
        #expect(wire.clientEnd.isSettled && wire.serverEnd.isSettled)
        #expect(wire.frames.map(\.bytes) == [[1, 0, 0, 1, 0xA0], [1, 0, 0, 1, 0xA0]])
    }

    @Test func bytesBehindTheExchangeAreKept() throws {
        let (client, server) = try Sample.oneWay()
        var wire = Wire(client: client, server: server)
        var clientEnd = Wire.End.running
        var serverEnd = Wire.End.running
        wire.server.receive(wire.client.start())
        wire.client.receive(wire.server.start())
        for bytes in Wire.drive(&wire.server, &serverEnd) { wire.client.receive(bytes) }
        let last = Wire.drive(&wire.client, &clientEnd).flatMap { $0 }
        #expect(clientEnd.isSettled)
        wire.server.receive(last + Array("GET /".utf8))
        _ = Wire.drive(&wire.server, &serverEnd)
        #expect(serverEnd.isSettled)
        wire.server.receive(Array(" HTTP".utf8))
        _ = wire.server.admit()
        #expect(wire.server.takeLeftover() == Array("GET / HTTP".utf8))
    }

    @Test func framesMayArriveByteByByte() throws {
        let (client, server) = try Sample.mutual()
        var wire = Wire(client: client, server: server)
        var clientEnd = Wire.End.running
        var serverEnd = Wire.End.running
        var toServer = wire.client.start()
        var toClient = wire.server.start()
        while !toServer.isEmpty || !toClient.isEmpty {
            var fromServer: [UInt8] = []
            var fromClient: [UInt8] = []
            for byte in toServer {
                wire.server.receive([byte])
                fromServer += Wire.drive(&wire.server, &serverEnd).flatMap { $0 }
            }
            for byte in toClient {
                wire.client.receive([byte])
                fromClient += Wire.drive(&wire.client, &clientEnd).flatMap { $0 }
            }
            (toServer, toClient) = (fromClient, fromServer)
        }
        #expect(clientEnd.isSettled && serverEnd.isSettled)
    }

    @Test func nobodyFillsMemoryBeforeItsTurn() throws {
        for (client, server) in [try Sample.mutual(), try Sample.oneWay()] {
            var wire = Wire(client: client, server: server)
            var end = Wire.End.running
            wire.server.receive(wire.client.start())
            wire.client.receive(wire.server.start())
            // A frame of Evidence that may be as long as it says, but not now.
            wire.server.receive([2, 0x0F, 0xFF, 0xFF])
            for _ in 0..<4 {
                wire.server.receive([UInt8](repeating: 0, count: 16 * 1024))
                _ = Wire.drive(&wire.server, &end)
            }
            #expect(end.code == "exchange.unread.too_long")
        }
    }

    @Test func theUnreadHaveAnExactLimit() throws {
        for (more, wanted) in [(0, nil), (1, "exchange.unread.too_long")] as [(Int, String?)] {
            let (client, server) = try Sample.mutual()
            var wire = Wire(client: client, server: server)
            var end = Wire.End.running
            wire.server.receive(wire.client.start())
            _ = Wire.drive(&wire.server, &end)
            let left = 64 * 1024 - 4 + more
            // What was read of the challenge does not count.
            wire.server.receive([2, 0x0F, 0xFF, 0xFF] + [UInt8](repeating: 0, count: left))
            _ = Wire.drive(&wire.server, &end)
            #expect(end.code == wanted)
        }
    }

    /// Who was refused cannot fill memory either.
    @Test func nothingIsKeptAfterTheEnd() throws {
        func unread(_ exchange: Exchange) -> Int? {
            let input = Mirror(reflecting: exchange).children.first { $0.label == "input" }
            return (input?.value as? [UInt8])?.count
        }
        let (client, server) = try Sample.mutual()
        var wire = Wire(client: client, server: server)
        var end = Wire.End.running
        wire.server.receive([9])
        _ = Wire.drive(&wire.server, &end)
        #expect(end.code == "exchange.frame.unknown")
        wire.server.receive([1, 2, 3])
        #expect(unread(wire.server) == 0)
        // A person who has looked takes nothing more.
        var looking = try Sample.oneWay()
        looking.client.asks = .inspection
        wire = Wire(client: looking.client, server: looking.server)
        wire.run()
        let before = unread(wire.client)
        wire.client.receive([1, 2, 3])
        #expect(unread(wire.client) == before)
    }

    @Test func aSideWithoutAttesterIsRefusedAndLearnsWhy() throws {
        let (client, server) = try Sample.oneWay()
        var bare = server
        bare.attester = nil
        var wire = Wire(client: client, server: bare)
        wire.run()
        #expect(wire.serverEnd.code == "attester.none")
        #expect(wire.clientEnd.code == "peer.refused")
        var mutual = try Sample.mutual()
        mutual.client.attester = nil
        wire = Wire(client: mutual.client, server: mutual.server)
        wire.run()
        #expect(wire.clientEnd.code == "attester.none")
        #expect(wire.serverEnd.code == "peer.refused")
        mutual = try Sample.mutual()
        mutual.client.spki = nil
        wire = Wire(client: mutual.client, server: mutual.server)
        wire.run()
        #expect(wire.clientEnd.code == "exchange.certificate.missing")
    }

    @Test func thePolicyDecidesAndThePeerIsTold() throws {
        var (client, server) = try Sample.oneWay()
        client.asks = .policy(Sample.policy(simulated: false))
        var wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.code == "simulated.refused")
        guard case .refused(let refusal) = wire.serverEnd else {
            Issue.record("the server was not told")
            return
        }
        #expect(refusal.code == "peer.refused")
        #expect(refusal.got.contains("simulated.refused"))
        let constraint = ConfigurationConstraint(path: ["access_log"], allowed: [.string("off")])
        client.asks = .policy(Sample.policy(configuration: [constraint]))
        wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.isSettled)
        for other in [#"{"access_log":"full"}"#, "{}", "[]", "", #"{"access_log":["off"]}"#] {
            server.configuration = Array(other.utf8)
            wire = Wire(client: client, server: server)
            wire.run()
            #expect(wire.clientEnd.code?.hasPrefix("configuration.") == true)
        }
    }

    @Test func aPolicyThatAcceptsNobodyAdmitsNobody() throws {
        var (client, server) = try Sample.oneWay()
        client.asks = .policy(
            AppraisalPolicy(mode: .enforce, peers: .appraised([]), digest: [])
        )
        var wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.code == "policy.peer.none")
        #expect(!wire.serverEnd.isSettled)
        let nothing = PeerPolicy(
            name: "empty",
            tier: .session,
            maxAge: 1,
            require: [:],
            tpm: nil,
            simulated: true,
            configuration: []
        )
        client.asks = .policy(
            AppraisalPolicy(mode: .enforce, peers: .appraised([nothing]), digest: [])
        )
        wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.code == "policy.peer.none")
        server.asks = client.asks
    }

    @Test func observingKnowsWhoWouldHaveBeenRefused() throws {
        var (client, server) = try Sample.oneWay()
        client.asks = .policy(Sample.policy(mode: .observe, simulated: false))
        server.configuration = Array("{}".utf8)
        var wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.isSettled)
        let admitted = wire.client.admit()
        #expect(admitted.result == nil)
        guard case .observed(let refusal) = admitted.standing else {
            Issue.record("not known as observed")
            return
        }
        #expect(refusal.code == "simulated.refused")
    }

    @Test func inspectionShowsClaimsAndAdmitsNobody() throws {
        var (client, server) = try Sample.oneWay()
        client.asks = .inspection
        var wire = Wire(client: client, server: server)
        wire.run()
        guard case .inspected(let evidence) = wire.clientEnd else {
            Issue.record("nothing to look at")
            return
        }
        #expect(evidence.map(\.format) == [.simulated])
        #expect(!wire.client.isSettled)
        #expect(wire.serverEnd.code == "peer.refused")
        server.attester = nil
    }

    @Test func theLeafCertificateCarriesBothForms() throws {
        let key = try PrivateKey.generate()
        let leaf = try AttestedCertificate.make(
            attester: try SimulatedAttester(),
            key: key,
            now: 1_800_000_000,
            lifetime: 86_400
        )
        let tagged = try #require(leaf.extension(AttestedCertificate.taggedEvidence))
        #expect(Array(tagged.prefix(4)) == [0xD9, 0xEA, 0x60, 0x82])
        guard case .tagged(_, let pair) = try CBORDecoder.decode(tagged),
            let quote = pair.items?[0].byteString, let claims = pair.items?[1].byteString
        else {
            Issue.record("not a pair")
            return
        }
        let reportData = try CBORFields(decoding: quote, allowed: [1, 2, 3]).bytes(1)
        #expect(reportData == Digest.sha256(claims) + [UInt8](repeating: 0, count: 32))
        let hash = try #require(try CBORDecoder.decode(claims).entries?[0].value.byteString)
        let expected = CBORValue.array([.unsigned(1), .bytes(Digest.sha256(leaf.spki))])
        #expect(hash == expected.encoded())
        let cmw = try #require(leaf.extension(AttestedCertificate.cmw))
        #expect(cmw.suffix(quote.count + 1).prefix(quote.count) == quote[...])
    }
}
