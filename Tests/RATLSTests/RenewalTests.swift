import Attestation
import Keys
import RATS
import Testing

@testable import Appraisal
@testable import RATLS

/// The exchange on a connection that is open: either side asks again when it has to.
struct RenewalTests {
    /// Both sides after an opening exchange, ready to renew.
    private func opened(_ client: Wire.Side, _ server: Wire.Side) -> Wire {
        var wire = Wire(client: client, server: server)
        wire.run()
        let counts = (wire.client.counts, wire.server.counts)
        var renewing = Wire(client: client, server: server)
        renewing.client = Wire.exchange(
            client, .client, peer: server, secret: [1, 2, 3], purpose: .renewing,
            counts: counts.0)
        renewing.server = Wire.exchange(
            server, .server, peer: client, secret: [1, 2, 3], purpose: .renewing,
            counts: counts.1)
        return renewing
    }

    private func moment(_ uptime: UInt64) -> Moment {
        Moment(unix: 1_800_000_060, uptime: uptime)
    }

    private func askServer(
        _ wire: inout Wire, _ asks: ExchangeSettings.Asks? = nil, leases: [Lease] = [],
        at uptime: UInt64
    ) {
        wire.clientEnd = .running
        let asks = asks ?? wire.client.settings.asks
        let challenge = wire.deliver(
            .client, wire.client.ask(asks, at: moment(uptime), leases: leases))
        wire.uptime = uptime
        wire.exchangeFrames(challenge, [])
    }

    @Test func aServerIsAskedAgain() throws {
        let (client, server) = try Sample.oneWay()
        var wire = opened(client, server)
        #expect(wire.client.isIdle && wire.server.isIdle)
        for round in 1...3 as ClosedRange<UInt64> {
            askServer(&wire, at: 1_000_000 + round * 60_000)
            #expect(wire.clientEnd.isSettled)
            let admitted = wire.client.admit()
            let (channelID, askedAt) = (admitted.channelID, admitted.askedAt)
            #expect(admitted.result?.peer == "dev-box" && channelID == 1)
            #expect(askedAt == 1_000_000 + round * 60_000)
            wire.exchangeFrames([], [])
            #expect(wire.client.isIdle && wire.server.isIdle)
            // Nothing of what was read stays behind.
            #expect(wire.client.input.isEmpty && wire.server.input.isEmpty)
            #expect(wire.client.counts.asked == UInt32(round) + 1)
            #expect(wire.server.counts.answered == UInt32(round) + 1)
        }
        let kinds = wire.frames.map { "\($0.from) \($0.bytes[0])" }
        #expect(Array(kinds.prefix(3)) == ["client 1", "server 2", "client 4"])
    }

    @Test func bothMayAskAtOnce() throws {
        let (client, server) = try Sample.mutual()
        var wire = opened(client, server)
        let first = wire.deliver(
            .client, wire.client.ask(client.asks, at: moment(2_000_000), leases: []))
        let second = wire.deliver(
            .server, wire.server.ask(server.asks, at: moment(2_000_000), leases: []))
        wire.exchangeFrames(first, second)
        #expect(wire.clientEnd.isSettled && wire.serverEnd.isSettled)
        _ = wire.client.admit()
        _ = wire.server.admit()
        wire.exchangeFrames([], [])
        #expect(wire.client.isIdle && wire.server.isIdle)
        #expect(wire.client.counts.asked == 2 && wire.client.counts.answered == 2)
    }

    @Test func anotherConnectionsEvidenceMayServeAsALease() throws {
        let (client, server) = try Sample.oneWay()
        var other = Wire(client: client, server: server, secret: [7])
        other.run()
        let lease = try Wire.lease(&other.client)
        var wire = opened(client, server)
        askServer(&wire, leases: [lease], at: 1_100_000)
        #expect(wire.clientEnd.isSettled)
        let admitted = wire.client.admit()
        let (wasLeased, askedAt) = (admitted.wasLeased, admitted.askedAt)
        #expect(wasLeased && askedAt == 1_000_000)
    }

    /// What was young enough as the challenge went out has its age when the answer comes.
    @Test func aLeaseThatComesTooLateIsAskedAgain() throws {
        var (client, server) = try Sample.oneWay()
        var first = Wire(client: client, server: server)
        first.run()
        client.leases = [try Wire.lease(&first.client)]
        client.uptime = 1_299_000
        for (arrival, isLeased) in [(1_299_999, true), (1_300_000, false)] as [(UInt64, Bool)] {
            var wire = Wire(client: client, server: server, secret: [9])
            wire.uptime = arrival
            wire.run()
            #expect(wire.clientEnd.isSettled)
            let wasLeased = wire.client.admit().wasLeased
            #expect(wasLeased == isLeased, "\(arrival)")
        }
    }

    @Test func oneAsksOnceAtATime() throws {
        let (client, server) = try Sample.oneWay()
        var wire = opened(client, server)
        #expect(!wire.client.ask(client.asks, at: moment(2_000_000), leases: []).isEmpty)
        #expect(wire.client.ask(client.asks, at: moment(2_000_001), leases: []).isEmpty)
        // An opening exchange is no renewal, and the other way about.
        #expect(wire.server.start().isEmpty)
        var opening = Wire(client: client, server: server)
        #expect(opening.client.ask(client.asks, at: moment(2_000_000), leases: []).isEmpty)
    }

    /// More than one challenge in 10 s is refused: at the limit and below it.
    @Test func challengesHaveTheirDistance() throws {
        for (distance, code) in [(10_000, nil), (9_999, "exchange.challenge.repeated")]
            as [(UInt64, String?)]
        {
            let (client, server) = try Sample.oneWay()
            var wire = opened(client, server)
            askServer(&wire, at: 2_000_000)
            _ = wire.client.admit()
            var end = Wire.End.running
            let challenge = wire.client.ask(
                client.asks, at: moment(2_000_000 + distance), leases: [])
            wire.server.receive(challenge, uptime: 2_000_000 + distance)
            _ = Wire.drive(&wire.server, &end)
            #expect(end.code == code, "\(distance)")
        }
    }

    /// The next challenge has to wait for this side's word on the last answer, however long.
    @Test func oneIsAnsweredAtATime() throws {
        let (client, server) = try Sample.oneWay()
        var wire = opened(client, server)
        wire.tamper = { from, frame in from == .client && frame[0] == 4 ? [] : [frame] }
        askServer(&wire, at: 2_000_000)
        _ = wire.client.admit()
        #expect(wire.server.isAnswering)
        askServer(&wire, at: 2_060_000)
        #expect(wire.serverEnd.code == "exchange.challenge.repeated")
    }

    /// A lease may be followed by one more challenge, and by no credential; the Evidence of a later
    /// challenge is no lease.
    @Test func whatFollowsALeaseIsOfThatLease() throws {
        let (client, server) = try Sample.oneWay()
        var other = Wire(client: client, server: server, secret: [7])
        other.run()
        let lease = try Wire.lease(&other.client)
        func leased(_ result: Bool) -> Wire {
            var wire = opened(client, server)
            wire.tamper = { from, frame in
                from == .client && frame[0] == 4 && !result ? [] : [frame]
            }
            askServer(&wire, leases: [lease], at: 1_100_000)
            return wire
        }
        var end = Wire.End.running
        var wire = leased(false)
        wire.server.receive(Frame(.activation, [0xA0]).encoded, uptime: 1_100_000)
        _ = Wire.drive(&wire.server, &end)
        #expect(end.code == "exchange.activation.unexpected")

        wire = leased(true)
        _ = wire.client.admit()
        wire.tamper = { from, frame in from == .client && frame[0] == 4 ? [] : [frame] }
        askServer(&wire, at: 1_160_000)
        _ = wire.client.admit()
        askServer(&wire, at: 1_160_001)
        #expect(wire.serverEnd.code == "exchange.challenge.repeated")
    }

    @Test func whatNobodyAskedForIsRefused() throws {
        let (client, server) = try Sample.oneWay()
        var first = Wire(client: client, server: server)
        first.run()
        let evidence = try #require(first.frames.first { $0.bytes[0] == 2 }).bytes
        for (frame, code) in [
            (evidence, "exchange.evidence.unsolicited"),
            (Frame(.lease, [0xA0]).encoded, "exchange.evidence.unsolicited"),
            (Frame(.challenge, [0xA0]).encoded, "exchange.challenge.empty"),
            (
                Frame(.result, ResultBody.admitted().encoded).encoded, "exchange.result.early"
            ),
            (Frame(.activated, [0xA0]).encoded, "exchange.activated.unsolicited"),
            (Frame(.activation, [0xA0]).encoded, "exchange.activation.unexpected"),
        ] {
            var wire = opened(client, server)
            var end = Wire.End.running
            wire.client.receive(frame)
            _ = Wire.drive(&wire.client, &end)
            #expect(end.code == code)
        }
    }

    /// Evidence that was good once on this very connection, replayed for a later challenge.
    @Test func anEarlierAnswerIsNoAnswer() throws {
        let (client, server) = try Sample.oneWay()
        var first = Wire(client: client, server: server)
        first.run()
        let old = try #require(first.frames.first { $0.bytes[0] == 2 }).bytes
        var wire = opened(client, server)
        wire.tamper = { from, frame in from == .server && frame[0] == 2 ? [old] : [frame] }
        askServer(&wire, at: 2_000_000)
        #expect(wire.clientEnd.code == "binding.signature.invalid")
    }

    /// Challenges carry a number; one end that counts another way has another binding.
    @Test func theNumberOfTheChallengeIsBound() throws {
        let (client, server) = try Sample.oneWay()
        for (asked, answered, isGood) in [(1, 1, true), (1, 2, false), (2, 1, false)] {
            var wire = opened(client, server)
            wire.client.counts.asked = UInt32(asked)
            wire.server.counts.answered = UInt32(answered)
            askServer(&wire, at: 2_000_000)
            #expect(wire.clientEnd.isSettled == isGood)
        }
    }

    /// A peer that leaves something unfinished is asked by the policy of now all the same.
    @Test func whatIsUnfinishedKeepsNoPolicyInForce() throws {
        let (client, server) = try Sample.mutual()
        let other = Sample.policy(configuration: [
            ConfigurationConstraint(path: ["access_log"], allowed: [.string("on")])
        ])
        // A challenge of the server's, whose answer it never says a word to.
        var wire = opened(client, server)
        wire.tamper = { from, frame in from == .server && frame[0] == 4 ? [] : [frame] }
        let challenge = wire.deliver(
            .server, wire.server.ask(server.asks, at: moment(2_000_000), leases: []))
        wire.exchangeFrames([], challenge)
        _ = wire.server.admit()
        #expect(wire.client.isAnswering && !wire.client.isIdle)
        askServer(&wire, .policy(other), at: 2_000_000)
        #expect(wire.clientEnd.code == "configuration.value.refused")
    }

    @Test func aServerThatChangedIsNotAdmittedAgain() throws {
        var (client, server) = try Sample.oneWay()
        client.asks = .policy(
            Sample.policy(configuration: [
                ConfigurationConstraint(path: ["access_log"], allowed: [.string("off")])
            ]))
        var wire = opened(client, server)
        server.configuration = Array(#"{"access_log":"on"}"#.utf8)
        wire.server.settings = ExchangeSettings(
            asks: server.asks,
            attestation: .init(
                attester: try SimulatedAttester(), bindingKeys: server.bindingKeys),
            configuration: server.configuration)
        askServer(&wire, at: 2_000_000)
        #expect(wire.clientEnd.code == "configuration.value.refused")
        #expect(wire.serverEnd.code == "peer.refused")
    }
}
