import Appraisal
import Attestation
import Keys
import RATLS
import RATS
import Testing

/// The attacks of protocol.md on a client that asks a server, or on both. Each has its negative
/// control: with the defence gone, the same bytes are let pass.
struct AttackTests {
    /// Records the server's evidence frame on a connection with the exporter secret `secret`.
    private func recorded(secret: [UInt8], server: Wire.Side, client: Wire.Side) -> [UInt8] {
        var wire = Wire(client: client, server: server, secret: secret)
        wire.run()
        return wire.frames.first { $0.bytes[0] == 2 }?.bytes ?? []
    }

    /// The codes at the client when every evidence frame is replaced by `frame`.
    private func replay(_ frame: [UInt8], client: Wire.Side, server: Wire.Side) -> Wire.End {
        var wire = Wire(client: client, server: server)
        wire.tamper = { role, bytes in [role == .server && bytes[0] == 2 ? frame : bytes] }
        wire.run()
        return wire.clientEnd
    }

    /// A man in the middle with the server's stolen leaf key ends the client's TLS connection, and
    /// relays the exchange over a connection of his own to the genuine server.
    @Test func relayWithAStolenLeafKey() throws {
        let (client, server) = try Sample.oneWay()
        var near = Wire(client: client, server: server, secret: [1])
        var far = Wire(client: client, server: server, secret: [2])
        swap(&near.server, &far.server)
        near.run()
        #expect(near.clientEnd.code == "binding.signature.invalid")
        // The control: with an exporter that is the same everywhere, the relay succeeds.
        near = Wire(client: client, server: server, secret: [1])
        far = Wire(client: client, server: server, secret: [1])
        swap(&near.server, &far.server)
        near.run()
        #expect(near.clientEnd.isSettled)
    }

    @Test func staleEvidenceOfAnotherConnection() throws {
        let (client, server) = try Sample.oneWay()
        let frame = recorded(secret: [9], server: server, client: client)
        #expect(!frame.isEmpty)
        #expect(replay(frame, client: client, server: server).code == "binding.signature.invalid")
    }

    @Test func replayedEvidenceFrameUnderAFreshChallenge() throws {
        let (client, server) = try Sample.oneWay()
        // The very same exporter secret: only the challenge differs.
        let frame = recorded(secret: [1, 2, 3], server: server, client: client)
        #expect(replay(frame, client: client, server: server).code == "binding.signature.invalid")
    }

    @Test func evidenceTwiceOnOneConnection() throws {
        let (client, server) = try Sample.mutual()
        var wire = Wire(client: client, server: server)
        wire.tamper = { role, bytes in
            role == .server && bytes[0] == 2 ? [bytes, bytes] : [bytes]
        }
        wire.run()
        #expect(wire.clientEnd.code == "exchange.evidence.unsolicited")
    }

    @Test func reflectedFrames() throws {
        let (client, server) = try Sample.mutual()
        var wire = Wire(client: client, server: server)
        var own: [UInt8] = []
        wire.tamper = { role, bytes in
            if role == .client, bytes[0] == 1 { own = bytes }
            return [role == .server && bytes[0] == 1 ? own : bytes]
        }
        wire.run()
        #expect(wire.clientEnd.code == "exchange.challenge.reflected")
        // The server's own Evidence sent back to it as the client's.
        wire = Wire(client: client, server: server)
        wire.tamper = { role, bytes in
            if role == .server, bytes[0] == 2 { own = bytes }
            return [role == .client && bytes[0] == 2 ? own : bytes]
        }
        wire.run()
        #expect(wire.serverEnd.code == "binding.signature.invalid")
    }

    @Test func alteredChallenge() throws {
        let (client, server) = try Sample.oneWay()
        for place in 8..<46 {
            var wire = Wire(client: client, server: server)
            wire.tamper = { role, bytes in
                guard role == .client, bytes[0] == 1, place < bytes.count else { return [bytes] }
                var altered = bytes
                altered[place] ^= 1
                return [altered]
            }
            wire.run()
            #expect(!wire.clientEnd.isSettled, "byte \(place)")
        }
        // A kind added by a man in the middle still parses; the hash of the challenge tells.
        var wire = Wire(client: client, server: server)
        wire.tamper = { role, bytes in
            guard role == .client, bytes[0] == 1,
                let body = try? ChallengeBody.decode(
                    Array(bytes.dropFirst(4))
                ), let question = body.question,
                case .map(let entries)? = try? CBORDecoder.decode(Array(bytes.dropFirst(4)))
            else { return [bytes] }
            let kinds = CBORValue.array((question.kinds + [1]).map { .unsigned(UInt64($0)) })
            let altered = CBORValue.map(
                entries.map { $0.key == .unsigned(2) ? CBORValue.Entry($0.key, kinds) : $0 }
            )
            return [Frame(.challenge, altered.encoded()).encoded]
        }
        wire.run()
        #expect(wire.clientEnd.code == "binding.signature.invalid")
    }

    @Test func swappedKeys() throws {
        let (client, server) = try Sample.oneWay()
        // The client's handshake was with another key than the one that attests.
        var misled = client
        misled.seenPeerSPKI = Wire.otherKey.spki
        var wire = Wire(client: misled, server: server)
        wire.run()
        #expect(wire.clientEnd.code == "binding.signature.invalid")
        // The control: a client that does not look at the key it shook hands with is misled.
        misled.seenPeerSPKI = nil
        wire = Wire(client: misled, server: server)
        wire.run()
        #expect(wire.clientEnd.isSettled)
        // The server's handshake was with another client certificate.
        var other = server
        other.seenPeerSPKI = Wire.anyKey.spki
        wire = Wire(client: client, server: other)
        wire.run()
        #expect(wire.clientEnd.code == "binding.signature.invalid")
    }

    @Test func clientEvidenceBeforeTheServerIsAdmitted() throws {
        let (client, server) = try Sample.mutual()
        var wire = Wire(client: client, server: server)
        var held: [UInt8] = []
        wire.tamper = { role, bytes in
            guard role == .client else { return [bytes] }
            if bytes[0] == 4 {
                held = bytes
                return []
            }
            return bytes[0] == 2 ? [bytes, held] : [bytes]
        }
        wire.run()
        #expect(wire.serverEnd.code == "exchange.evidence.early")
    }

    @Test func framesThatDoNotBelong() throws {
        let (client, server) = try Sample.oneWay()
        let cases: [([UInt8], String)] = [
            ([3, 0, 0, 0], "exchange.lease.unexpected"), ([7, 0, 0, 0], "exchange.frame.unknown"),
            ([0, 0, 0, 0], "exchange.frame.unknown"),
            ([1, 0, 0, 1, 0xA0], "exchange.challenge.repeated"),
            ([4] + [0, 0, 3] + [0xA1, 1, 0], "exchange.result.early"),
            ([5, 0, 0, 1, 0xA0], "exchange.activation.unexpected"),
            ([6, 0, 0, 1, 0xA0], "exchange.activated.unsolicited"),
            ([1, 0xFF, 0xFF, 0xFF], "exchange.frame.too_long"),
            ([2, 0x10, 0, 1], "exchange.frame.too_long"),
        ]
        for (frame, code) in cases {
            var wire = Wire(client: client, server: server)
            wire.tamper = { role, bytes in
                role == .server && bytes[0] == 2 ? [frame] : [bytes]
            }
            wire.run()
            #expect(wire.clientEnd.code == code)
        }
    }

    @Test func everyByteOfARecordedFrame() throws {
        let (client, server) = try Sample.oneWay()
        var wire = Wire(client: client, server: server)
        #expect(try wire.tamperWithEveryByte() > 300)
    }

    /// With an input of the binding left out, the attack it answers succeeds: the control.
    @Test func negativeControls() throws {
        let key = Wire.anyKey
        let hash = [UInt8](repeating: 7, count: 32)
        let honest = Binding.Inputs(
            role: .server,
            sequence: 0,
            attesterKeyHash: hash,
            peerKeyHash: hash,
            challengeHash: hash,
            attesterNonce: hash,
            exported: hash,
            configurationHash: [UInt8](repeating: 7, count: 48)
        )
        let other = [UInt8](repeating: 8, count: 32)
        let attacks: [(String, WritableKeyPath<Binding.Inputs, [UInt8]>)] = [
            ("exporter", \.exported), ("challenge", \.challengeHash), ("key", \.attesterKeyHash),
        ]
        let signature = try key.signRaw(
            Binding.evidenceToSign(base: Binding.base(honest), manifest: [0, 0])
        )
        for (name, part) in attacks {
            var victim = honest
            victim[keyPath: part] = other
            let full = Binding.evidenceToSign(base: Binding.base(victim), manifest: [0, 0])
            #expect(!key.publicKey.verifies(raw: signature, over: full), "\(name)")
            // A formula that does not cover the part sees both connections as one.
            victim[keyPath: part] = honest[keyPath: part]
            let weak = Binding.evidenceToSign(base: Binding.base(victim), manifest: [0, 0])
            #expect(key.publicKey.verifies(raw: signature, over: weak), "\(name)")
        }
    }
}
