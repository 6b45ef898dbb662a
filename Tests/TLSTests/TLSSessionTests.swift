import Bytes
import Keys
import TLS
import Testing

struct Accepting: PeerVerifier {
    var demandsCertificate = false
    var objection: TLSError?

    func judge(_ handshake: Handshake) throws(TLSError) {
        if let objection { throw objection }
    }
}

/// Two sessions whose ciphertext is carried by hand.
final class Pair {
    let pool = BufferPool(capacity: 32)
    var client: TLSSession
    var server: TLSSession

    private init(_ client: consuming TLSSession, _ server: consuming TLSSession) {
        self.client = client
        self.server = server
    }

    static func make(
        clientProtocols: [String] = ["ratel/1+http/1.1"],
        serverProtocols: [String] = ["ratel/1+http/1.1", "http/1.1"],
        clientHasCertificate: Bool = true,
        serverVerifier: Accepting = Accepting(),
        clientVerifier: Accepting = Accepting(),
        padding: RecordPadding = .off
    ) throws -> Pair {
        let client = try TLSContext(
            side: .client, identity: clientHasCertificate ? Pair.identity() : nil,
            protocols: clientProtocols, verifier: clientVerifier, padding: padding)
        let server = try TLSContext(
            side: .server, identity: Pair.identity(), protocols: serverProtocols,
            verifier: serverVerifier, padding: padding)
        return Pair(try TLSSession(client), try TLSSession(server))
    }

    static func identity() throws -> TLSIdentity {
        let key = try PrivateKey.generate()
        // 2026-01-01, for a century: no test depends on the day.
        let leaf = try LeafCertificate.make(
            key: key, commonName: "test", now: 1_767_225_600, lifetime: 3_153_600_000)
        return TLSIdentity(key: key, certificates: [leaf])
    }

    enum Ending {
        case complete(client: Handshake, server: Handshake)
        case clientFailed(TLSError)
        case serverFailed(TLSError)
    }

    func shake() -> Ending {
        var toServer: Buffer? = pool.lend()
        var toClient: Buffer? = pool.lend()
        var clientDone: Handshake?
        var serverDone: Handshake?
        for _ in 0..<20 {
            if clientDone == nil {
                var input = toClient.take()
                var output = pool.lend()!
                let progress = client.handshake(&input, into: &output)
                toServer = append(output, to: toServer.take())
                toClient = consume input
                switch progress {
                case .complete(let handshake): clientDone = handshake
                case .failed(let error): return .clientFailed(error)
                default: break
                }
            }
            if serverDone == nil {
                var input = toServer.take()
                var output = pool.lend()!
                let progress = server.handshake(&input, into: &output)
                toClient = append(output, to: toClient.take())
                toServer = consume input
                switch progress {
                case .complete(let handshake): serverDone = handshake
                case .failed(let error): return .serverFailed(error)
                default: break
                }
            }
            if let clientDone, let serverDone {
                return .complete(client: clientDone, server: serverDone)
            }
        }
        return .clientFailed(TLSError("no end"))
    }

    private func append(_ piece: consuming Buffer, to kept: consuming Buffer?) -> Buffer? {
        guard var kept = consume kept else { return piece }
        kept.compact()
        _ = kept.append(piece.bytes)
        return kept
    }
}

@Suite struct TLSSessionTests {
    @Test func agreesOnProtocolKeysAndExporter() throws {
        let pair = try Pair.make(serverVerifier: Accepting(demandsCertificate: true))
        guard case .complete(let client, let server) = pair.shake() else {
            Issue.record("the handshake failed")
            return
        }
        #expect(client.applicationProtocol == "ratel/1+http/1.1")
        #expect(server.applicationProtocol == "ratel/1+http/1.1")
        #expect(client.localKey != nil && client.localKey == server.peerKey)
        #expect(client.peerKey != nil && client.peerKey == server.localKey)
        #expect(client.cipherSuite == "TLS_AES_128_GCM_SHA256")
        #expect(client.channelID != server.channelID)
        let one = pair.client.export(label: "EXPERIMENTAL-test", context: [1], count: 32)
        let other = pair.server.export(label: "EXPERIMENTAL-test", context: [1], count: 32)
        let another = pair.server.export(label: "EXPERIMENTAL-test", context: [2], count: 32)
        #expect(one != nil && one == other)
        #expect(one != another)
    }

    @Test func aKeyThatWasNotPresentedIsNotReported() throws {
        let pair = try Pair.make()
        guard case .complete(let client, let server) = pair.shake() else {
            Issue.record("the handshake failed")
            return
        }
        #expect(client.localKey == nil)
        #expect(server.peerKey == nil)
    }

    @Test func theExporterNeedsAFinishedHandshake() throws {
        let pair = try Pair.make()
        #expect(pair.client.export(label: "EXPERIMENTAL-test", context: [], count: 32) == nil)
    }

    @Test func aMissingCertificateIsRefused() throws {
        let pair = try Pair.make(
            clientHasCertificate: false, serverVerifier: Accepting(demandsCertificate: true))
        guard case .serverFailed(let error) = pair.shake() else {
            Issue.record("a client without a certificate was let through")
            return
        }
        #expect(error.description.contains("certificate"))
    }

    @Test func aServerThatChoosesNoProtocolIsRefused() throws {
        let pair = try Pair.make(serverProtocols: [])
        guard case .clientFailed(let error) = pair.shake() else {
            Issue.record("a server without ALPN was accepted")
            return
        }
        #expect(error.description.contains("ratel/1+http/1.1"))
    }

    @Test func noCommonProtocolIsRefused() throws {
        let pair = try Pair.make(clientProtocols: ["h2"])
        guard case .serverFailed = pair.shake() else {
            Issue.record("an unknown protocol was accepted")
            return
        }
    }

    @Test func theVerifierHasTheLastWord() throws {
        let pair = try Pair.make(clientVerifier: Accepting(objection: TLSError("not this one")))
        guard case .clientFailed(let error) = pair.shake() else {
            Issue.record("the verifier was not asked")
            return
        }
        #expect(error.description == "not this one")
    }

    @Test func carriesBytesAndTheirEnd() throws {
        let pair = try Pair.make()
        guard case .complete = pair.shake() else {
            Issue.record("the handshake failed")
            return
        }
        var plaintext = pair.pool.lend()!
        let message = [UInt8](repeating: 7, count: BufferPool.plaintextSize)
        #expect(plaintext.append(message.span) == message.count)
        var ciphertext = pair.pool.lend()!
        #expect(pair.client.encrypt(&plaintext, into: &ciphertext) == nil)
        let isUsed = plaintext.isEmpty
        #expect(isUsed)
        // One record, whatever its size.
        #expect(ciphertext.count == message.count + 22)

        var received = pair.pool.lend()!
        _ = pair.server.decrypt(&ciphertext, into: &received)
        #expect(received.count == message.count)

        var farewell = pair.pool.lend()!
        pair.client.finish(into: &farewell)
        received.clear()
        guard case .ended = pair.server.decrypt(&farewell, into: &received) else {
            Issue.record("close_notify was not seen")
            return
        }
    }

    /// A padded record is 5 bytes of header, whole blocks, and 16 of tag; its type takes one byte.
    @Test(arguments: [
        (1, 256), (100, 256), (255, 256), (256, 512), (511, 512), (16_127, 16_128),
        (16_128, 16_384), (16_382, 16_384), (16_383, 16_384), (16_384, 16_385),
    ])
    func aPaddedRecordIsWholeBlocksAndFits(_ length: Int, _ padded: Int) throws {
        let pair = try Pair.make(padding: .demanded)
        guard case .complete = pair.shake() else {
            Issue.record("the handshake failed")
            return
        }
        var plaintext = pair.pool.lend()!
        let message = [UInt8](repeating: 7, count: length)
        #expect(plaintext.append(message.span) == length)
        var ciphertext = pair.pool.lend()!
        #expect(pair.client.encrypt(&plaintext, into: &ciphertext) == nil)
        let isUsed = plaintext.isEmpty
        #expect(isUsed)
        #expect(ciphertext.count == 5 + padded + 16)
        // The spill of `RecordIO` may stand before it.
        #expect(ciphertext.room >= 768)

        var received = pair.pool.lend()!
        _ = pair.server.decrypt(&ciphertext, into: &received)
        #expect(received.count == length)

        // Alerts are not padded: 2 bytes and their type.
        var farewell = pair.pool.lend()!
        pair.client.finish(into: &farewell)
        #expect(farewell.count == 5 + 3 + 16)
    }

    @Test func aChangedRecordEndsTheConnection() throws {
        let pair = try Pair.make()
        guard case .complete = pair.shake() else {
            Issue.record("the handshake failed")
            return
        }
        var plaintext = pair.pool.lend()!
        _ = plaintext.append([1, 2, 3].span)
        var ciphertext = pair.pool.lend()!
        #expect(pair.client.encrypt(&plaintext, into: &ciphertext) == nil)
        var changed = pair.pool.lend()!
        var bytes: [UInt8] = []
        for index in ciphertext.bytes.indices { bytes.append(ciphertext.bytes[index]) }
        bytes[bytes.count - 1] ^= 1
        _ = changed.append(bytes.span)
        var received = pair.pool.lend()!
        guard case .failed = pair.server.decrypt(&changed, into: &received) else {
            Issue.record("a changed record was accepted")
            return
        }
        let isEmpty = received.isEmpty
        #expect(isEmpty)
    }

    @Test func aKeyOfAnotherCertificateIsRefused() throws {
        let one = try Pair.identity()
        let other = try Pair.identity()
        #expect(throws: TLSError.self) {
            try TLSContext(
                side: .server,
                identity: TLSIdentity(key: one.key, certificates: other.certificates),
                protocols: [], verifier: Accepting())
        }
    }
}
