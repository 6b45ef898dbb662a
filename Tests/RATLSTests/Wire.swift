import Appraisal
import Attestation
import Bytes
import Keys
import RATLS
import RATS
import Testing

/// Two sides of one connection with a wire between them that a test can tamper with.
struct Wire {
    enum End { case running, settled, refused(Refusal), inspected([AuthenticEvidence]) }

    var client: Exchange
    var server: Exchange
    /// What each side remembers of the other.
    private let clientLeases: [Lease]
    private let serverLeases: [Lease]
    var clientEnd = End.running
    var serverEnd = End.running
    /// Every frame as it was sent, in order.
    var frames: [(from: Role, bytes: [UInt8])] = []
    /// When frames arrive, in milliseconds since boot.
    var uptime: UInt64 = 1_000_000
    /// What becomes of a frame on its way.
    var tamper: (Role, [UInt8]) -> [[UInt8]] = { [$1] }

    init(client: Side, server: Side, secret: [UInt8] = [1, 2, 3]) {
        clientLeases = client.leases
        serverLeases = server.leases
        self.client = Wire.exchange(client, .client, peer: server, secret: secret)
        self.server = Wire.exchange(server, .server, peer: client, secret: secret)
    }

    /// What one side is and wants.
    struct Side {
        var asks: ExchangeSettings.Asks
        var attester: (any Attester)?
        var spki: [UInt8]?
        /// What this side believes to be the peer's key, if not the truth.
        var seenPeerSPKI: [UInt8]?
        var configuration = Array(#"{"access_log":"off"}"#.utf8)
        var bindingKeys = Wire.anyBindingKeys
        /// What this side remembers of the peer.
        var leases: [Lease] = []
        var keepsEvidence = false
        var uptime: UInt64 = 1_000_000
    }

    static let anyBindingKeys = freshBindingKeys()

    static func freshBindingKeys(_ clock: TestClock = TestClock()) -> BindingKeys {
        guard let keys = try? BindingKeys(clock: { clock.now }) else {
            preconditionFailure("no key")
        }
        return keys
    }

    static let anyKey = generated()
    static let otherKey = generated()

    private static func generated() -> PrivateKey {
        guard let key = try? PrivateKey.generate() else { preconditionFailure("no key") }
        return key
    }

    static func exchange(
        _ side: Side,
        _ role: Role,
        peer: Side,
        secret: [UInt8],
        purpose: Exchange.Purpose = .opening,
        counts: ChallengeCounts = ChallengeCounts()
    ) -> Exchange {
        let attestation = side.attester.map {
            ExchangeSettings.Attestation(attester: $0, bindingKeys: side.bindingKeys)
        }
        return Exchange(
            settings: ExchangeSettings(
                asks: side.asks,
                attestation: attestation,
                configuration: side.configuration,
                keepsEvidence: side.keepsEvidence
            ),
            channel: ChannelFacts(
                channelID: role == .client ? 1 : 2,
                role: role,
                localSPKI: side.spki,
                peerSPKI: side.seenPeerSPKI ?? peer.spki,
                export: { Digest.sha256.authenticate(Array($0.utf8) + $1, key: secret) }
            ),
            purpose: purpose,
            counts: counts,
            moment: Moment(unix: 1_800_000_000, uptime: side.uptime)
        )
    }

    /// What a side remembers of a peer that it admitted just now.
    static func lease(_ exchange: inout Exchange) throws -> Lease {
        let lease = exchange.takeLease()
        return try #require(lease)
    }

    /// Runs both sides until neither has anything to do.
    mutating func run() {
        exchangeFrames(
            deliver(.client, client.start(leases: clientLeases)),
            deliver(.server, server.start(leases: serverLeases)))
    }

    /// Goes on from what each side has sent.
    mutating func exchangeFrames(_ fromClient: [UInt8], _ fromServer: [UInt8]) {
        var (toServer, toClient) = (fromClient, fromServer)
        var rounds = 0
        while rounds < 100 {
            rounds += 1
            server.receive(toServer, uptime: uptime)
            client.receive(toClient, uptime: uptime)
            let fromServer = Wire.drive(&server, &serverEnd)
            let fromClient = Wire.drive(&client, &clientEnd)
            if fromServer.isEmpty && fromClient.isEmpty { return }
            toClient = fromServer.flatMap { deliver(.server, $0) }
            toServer = fromClient.flatMap { deliver(.client, $0) }
        }
    }

    mutating func deliver(_ from: Role, _ bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        var rest = bytes[...]
        while let frame = try? Frame.decode(rest) {
            frames.append((from, frame.encoded))
            output += tamper(from, frame.encoded).flatMap { $0 }
            rest = rest.dropFirst(frame.encoded.count)
        }
        return output
    }

    /// Feeds the client the server's evidence frame with each byte changed in turn, always from the
    /// same state, and once as it is: only that may be admitted. Returns the frame's length.
    mutating func tamperWithEveryByte() throws -> Int {
        server.receive(client.start())
        client.receive(server.start())
        _ = Wire.drive(&client, &clientEnd)
        let frame = Wire.drive(&server, &serverEnd).flatMap { $0 }
        for place in frame.indices {
            for bit: UInt8 in [1, 0x80] {
                var copy = client
                var end = End.running
                var altered = frame
                altered[place] ^= bit
                copy.receive(altered)
                _ = Wire.drive(&copy, &end)
                #expect(!end.isSettled, "byte \(place), bit \(bit)")
            }
        }
        client.receive(frame)
        _ = Wire.drive(&client, &clientEnd)
        #expect(clientEnd.isSettled)
        return frame.count
    }

    static func drive(_ exchange: inout Exchange, _ end: inout End) -> [[UInt8]] {
        var sent: [[UInt8]] = []
        while true {
            switch exchange.next() {
            case .wait: return sent
            case .send(let bytes): sent.append(bytes)
            case .quote(let job): exchange.quoted(job.run())
            case .appraise(let job): exchange.appraised(job.run())
            case .settled:
                end = .settled
                return sent
            case .inspected(let evidence, _):
                end = .inspected(evidence)
                return sent
            case .refused(let refusal):
                end = .refused(refusal)
                return sent
            }
        }
    }
}

extension Exchange {
    /// Takes bytes where it does not matter when.
    mutating func receive(_ bytes: [UInt8]) { receive(bytes, uptime: 1_000_000) }
}

extension Wire.End {
    var code: String? { if case .refused(let refusal) = self { refusal.code } else { nil } }
    var isSettled: Bool { if case .settled = self { true } else { false } }
}

/// Milliseconds since boot that a test sets.
final class TestClock: Sendable {
    private let time = Locked<UInt64>(1_000_000)

    var now: UInt64 {
        get { time.withLock { $0 } }
        set { time.withLock { $0 = newValue } }
    }
}

/// Policies and sides that tests start from.
enum Sample {
    static func policy(
        mode: AppraisalPolicy.Mode = .enforce,
        simulated: Bool = true,
        configuration: [ConfigurationConstraint] = [],
        maxAge: UInt32 = 300
    ) -> AppraisalPolicy {
        let peer = PeerPolicy(
            name: "dev-box",
            tier: .session,
            maxAge: maxAge,
            require: [.simulated: 1],
            tpm: nil,
            simulated: simulated,
            configuration: configuration
        )
        return AppraisalPolicy(
            mode: mode,
            peers: .appraised([peer]),
            digest: [UInt8](repeating: 9, count: 48)
        )
    }

    static var anonymous: AppraisalPolicy {
        AppraisalPolicy(
            mode: .enforce,
            peers: .anonymous,
            digest: [UInt8](repeating: 8, count: 48)
        )
    }

    static let serverKey = Wire.anyKey.spki
    static let clientKey = Wire.otherKey.spki

    /// An attesting server, and a client that asks for Evidence and gives none.
    static func oneWay() throws -> (client: Wire.Side, server: Wire.Side) {
        (
            Wire.Side(asks: .policy(policy()), spki: clientKey),
            Wire.Side(asks: .policy(anonymous), attester: try SimulatedAttester(), spki: serverKey)
        )
    }

    /// Both sides attest.
    static func mutual() throws -> (client: Wire.Side, server: Wire.Side) {
        (
            Wire.Side(
                asks: .policy(policy()),
                attester: try SimulatedAttester(),
                spki: clientKey
            ),
            Wire.Side(asks: .policy(policy()), attester: try SimulatedAttester(), spki: serverKey)
        )
    }
}
