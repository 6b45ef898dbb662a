import Attestation
import Keys
import RATS
import Testing

@testable import Appraisal
@testable import RATLS

/// A signature in place of Evidence: when it is given, when it counts, and for how long.
struct LeaseTests {
    private func firstMeeting(
        _ client: Wire.Side, _ server: Wire.Side
    ) throws -> (Wire, Lease) {
        var wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.isSettled)
        return (wire, try Wire.lease(&wire.client))
    }

    private func order(_ wire: Wire) -> [String] {
        wire.frames.map { "\($0.from) \($0.bytes[0])" }
    }

    @Test func aKnownServerNeedsNoQuote() throws {
        var (client, server) = try Sample.oneWay()
        let (_, lease) = try firstMeeting(client, server)
        client.leases = [lease]
        client.uptime += 299_999
        var again = Wire(client: client, server: server, secret: [9])
        again.run()
        #expect(again.clientEnd.isSettled && again.serverEnd.isSettled)
        #expect(order(again) == ["client 1", "server 1", "server 3", "client 4"])
        let admitted = again.client.admit()
        let (wasLeased, askedAt) = (admitted.wasLeased, admitted.askedAt)
        #expect(wasLeased && admitted.name == "dev-box")
        // The age goes on from the first challenge.
        #expect(askedAt == 1_000_000)
        let none = again.client.takeLease()
        #expect(none == nil)
    }

    @Test func bothSidesMayLease() throws {
        var (client, server) = try Sample.mutual()
        server.bindingKeys = Wire.freshBindingKeys()
        client.bindingKeys = Wire.freshBindingKeys()
        var wire = Wire(client: client, server: server)
        wire.run()
        client.leases = [try Wire.lease(&wire.client)]
        server.leases = [try Wire.lease(&wire.server)]
        var again = Wire(client: client, server: server, secret: [9])
        again.run()
        #expect(
            order(again) == [
                "client 1", "server 1", "server 3", "client 4", "client 3", "server 4",
            ])
        let wasLeased = again.server.admit().wasLeased
        #expect(wasLeased)
    }

    /// Everything that a lease covers, changed in turn.
    @Test func aLeaseIsOfOneConnection() throws {
        var (client, server) = try Sample.oneWay()
        let (first, lease) = try firstMeeting(client, server)
        client.leases = [lease]
        var other = Wire(client: client, server: server, secret: [8])
        other.run()
        let replayed = try #require(other.frames.first { $0.bytes[0] == 3 }).bytes
        let evidence = try #require(first.frames.first { $0.bytes[0] == 2 }).bytes
        let signature = try EvidenceBody.decode(Array(evidence[4...])).signature

        func code(
            client: Wire.Side? = nil, _ change: @escaping (LeaseBody) -> LeaseBody
        ) throws -> String? {
            var wire = Wire(client: client ?? client0, server: server, secret: [9])
            wire.tamper = { _, frame in
                guard frame[0] == 3, let body = try? LeaseBody.decode(Array(frame[4...])) else {
                    return [frame]
                }
                return [Frame(.lease, change(body).encoded).encoded]
            }
            wire.run()
            return wire.clientEnd.code
        }
        let client0 = client
        #expect(try code { $0 } == nil)
        let foreign = try LeaseBody.decode(Array(replayed[4...]))
        #expect(try code { _ in foreign } == "binding.lease.invalid")
        func with(_ body: LeaseBody, nonce: [UInt8]? = nil, signature: [UInt8]? = nil) -> LeaseBody
        {
            LeaseBody(
                nonce: nonce ?? body.nonce, keyHash: body.keyHash,
                configurationHash: body.configurationHash,
                signature: signature ?? body.signature)
        }
        #expect(try code { with($0, nonce: foreign.nonce) } == "binding.lease.invalid")
        // The signature of Evidence by the same key is none of a lease.
        #expect(try code { with($0, signature: signature) } == "binding.lease.invalid")
        var swapped = client
        swapped.seenPeerSPKI = Sample.clientKey
        #expect(try code(client: swapped) { $0 } == "binding.lease.invalid")
    }

    @Test func whatWasNotListedDoesNotCount() throws {
        let (client, server) = try Sample.oneWay()
        var wire = Wire(client: client, server: server)
        wire.tamper = { from, frame in
            guard frame[0] == 2 else { return [frame] }
            let body = LeaseBody(
                nonce: [UInt8](repeating: 1, count: 32), keyHash: server.bindingKeys.currentHash,
                configurationHash: [UInt8](repeating: 1, count: 48),
                signature: [UInt8](repeating: 1, count: 64))
            return [Frame(.lease, body.encoded).encoded]
        }
        wire.run()
        #expect(wire.clientEnd.code == "exchange.lease.unexpected")
    }

    @Test func aLeaseHasOneForm() throws {
        let (client, server) = try Sample.oneWay()
        let (_, lease) = try firstMeeting(client, server)
        let body = LeaseBody(
            nonce: [UInt8](repeating: 1, count: 32), keyHash: lease.keyHash,
            configurationHash: lease.configurationHash,
            signature: [UInt8](repeating: 2, count: 64))
        #expect(try LeaseBody.decode(body.encoded) == body)
        // Each field one byte shorter, absent, or beside one that is not in a lease.
        let fields: [(UInt64, [UInt8])] = [
            (1, body.nonce), (3, body.keyHash), (6, body.configurationHash), (8, body.signature),
        ]
        func code(_ fields: [(UInt64, [UInt8])]) -> String? {
            let text = CBORValue.fields(fields.map { ($0.0, .bytes($0.1)) }).encoded()
            do throws(Refusal) {
                _ = try LeaseBody.decode(text)
                return nil
            } catch {
                return error.code
            }
        }
        #expect(code(fields) == nil)
        for place in fields.indices {
            var short = fields
            short[place].1.removeLast()
            #expect(code(short) == "exchange.lease.malformed")
            var absent = fields
            absent.remove(at: place)
            #expect(code(absent) == "exchange.lease.malformed")
        }
        #expect(code(fields + [(9, [1])]) == "exchange.lease.malformed")
    }

    /// Another key or configuration than was known: Evidence is asked for, once.
    @Test func whatIsNotQuiteKnownIsAskedAgain() throws {
        var (client, server) = try Sample.oneWay()
        let (_, lease) = try firstMeeting(client, server)
        client.leases = [lease]
        var changed = server
        changed.configuration = Array(#"{"access_log":"on"}"#.utf8)
        var wire = Wire(client: client, server: changed, secret: [9])
        wire.run()
        #expect(wire.clientEnd.isSettled && wire.serverEnd.isSettled)
        let asked = ["client 1", "server 1", "server 3", "client 1", "server 2", "client 4"]
        #expect(order(wire) == asked)
        #expect(wire.client.counts.asked == 2 && wire.server.counts.answered == 2)
        let admitted = wire.client.admit()
        let wasLeased = admitted.wasLeased
        #expect(!wasLeased)
        #expect(admitted.result?.configuration == changed.configuration)

        // A lease by a key that the challenge did not list.
        let other = Wire.freshBindingKeys()
        var liar = Wire(client: client, server: server, secret: [9])
        var leases = 0
        liar.tamper = { _, frame in
            guard frame[0] == 3 || (leases > 0 && frame[0] == 2) else { return [frame] }
            leases += 1
            let body = LeaseBody(
                nonce: [UInt8](repeating: 1, count: 32), keyHash: other.currentHash,
                configurationHash: lease.configurationHash,
                signature: [UInt8](repeating: 1, count: 64))
            return [Frame(.lease, body.encoded).encoded]
        }
        liar.run()
        // A second lease is none that it asked for.
        #expect(liar.clientEnd.code == "exchange.lease.unexpected")
        #expect(leases == 2)
    }

    /// A server that answered with a lease may be asked for Evidence, and not twice.
    @Test func thereIsOneSecondChallenge() throws {
        var (client, server) = try Sample.oneWay()
        let (_, lease) = try firstMeeting(client, server)
        client.leases = [lease]
        func said(after challenges: [ChallengeBody]) -> [String] {
            var exchange = Wire.exchange(server, .server, peer: client, secret: [9])
            _ = exchange.start()
            var end = Wire.End.running
            var sent: [String] = []
            for challenge in challenges {
                exchange.receive(Frame(.challenge, challenge.encoded).encoded)
                sent += Wire.drive(&exchange, &end).map { "\($0[0])" }
            }
            return sent + [end.code ?? "goes on"]
        }
        let known = ChallengeBody.make(kinds: [.simulated], knownKeys: [lease.keyHash])
        let plain = ChallengeBody.make(kinds: [.simulated])
        #expect(said(after: [known, plain]) == ["3", "2", "goes on"])
        #expect(said(after: [known, plain, plain]).last == "exchange.challenge.repeated")
        #expect(said(after: [known, known]).last == "exchange.challenge.repeated")
        #expect(said(after: [plain, plain]).last == "exchange.challenge.repeated")
    }

    @Test func aPolicyWithoutAgeRemembersNothing() throws {
        var (client, server) = try Sample.oneWay()
        client.asks = .policy(Sample.policy(maxAge: 0))
        server.bindingKeys = Wire.freshBindingKeys()
        var wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.isSettled)
        let none = wire.client.takeLease()
        #expect(none == nil)
        let result = try #require(wire.frames.last { $0.from == .client && $0.bytes[0] == 4 })
        #expect(try ResultBody.decode(Array(result.bytes[4...])).leaseSeconds == 0)
    }

    @Test func theResultSaysHowLongItIsRemembered() throws {
        let (client, server) = try Sample.oneWay()
        var wire = Wire(client: client, server: server)
        wire.run()
        let result = try #require(wire.frames.last { $0.from == .client && $0.bytes[0] == 4 })
        #expect(try ResultBody.decode(Array(result.bytes[4...])).leaseSeconds == 300)
    }

    // MARK: The book

    private func moment(_ uptime: UInt64, unix: Int64 = 1_800_000_000) -> Moment {
        Moment(unix: unix, uptime: uptime)
    }

    @Test func aLeaseEndsWithItsAge() throws {
        let (client, server) = try Sample.oneWay()
        let (_, lease) = try firstMeeting(client, server)
        let book = LeaseBook()
        book.keep(lease, of: [1], since: book.generation)
        func found(
            _ uptime: UInt64, origin: [UInt8] = [1], digest: UInt8 = 9, least: UInt64 = 1,
            unix: Int64 = 1_800_000_000
        ) -> Int {
            book.leases(
                of: origin, policyDigest: [UInt8](repeating: digest, count: 48),
                at: moment(uptime, unix: unix), least: least
            ).count
        }
        #expect(found(1_000_000) == 1)
        #expect(found(1_299_999) == 1)
        #expect(found(1_000_000, least: 300_000) == 1)
        #expect(found(1_000_000, least: 300_001) == 0)
        #expect(found(1_000_000, origin: [2]) == 0)
        #expect(found(1_000_000, digest: 8) == 0)
        // Collateral that is no longer valid.
        #expect(found(1_000_000, unix: .max) == 0)
        book.keep(lease, of: [1], since: book.generation)
        #expect(found(1_300_000) == 0)
        // What was found too old is gone, whatever the clock says then.
        #expect(found(1_000_000) == 0)
        book.keep(lease, of: [1], since: book.generation)
        let before = book.generation
        book.removeAll()
        #expect(found(1_000_000) == 0)
        // What was asked before that may come after it.
        book.keep(lease, of: [1], since: before)
        #expect(found(1_000_000) == 0)
    }

    @Test func aBookHasItsLimits() throws {
        let (client, server) = try Sample.oneWay()
        let (_, lease) = try firstMeeting(client, server)
        func copy(_ key: Int, askedAt: UInt64 = 1_000_000) -> Lease {
            Lease(
                bindingKey: lease.bindingKey,
                keyHash: [UInt8(key >> 8), UInt8(key & 0xFF)] + [UInt8](repeating: 0, count: 30),
                configurationHash: lease.configurationHash, result: lease.result,
                askedAt: askedAt)
        }
        func keys(_ book: LeaseBook, of origin: [UInt8]) -> [UInt8] {
            book.leases(
                of: origin, policyDigest: lease.result.policyDigest, at: moment(1_000_000)
            ).map { $0.keyHash[1] }
        }
        let book = LeaseBook()
        for key in 0..<8 { book.keep(copy(key), of: [1], since: book.generation) }
        #expect(keys(book, of: [1]) == [7, 6, 5, 4, 3, 2, 1, 0])
        book.keep(copy(8), of: [1], since: book.generation)
        #expect(keys(book, of: [1]) == [8, 7, 6, 5, 4, 3, 2, 1])
        // Another result over the same key takes its place; an older one does not.
        book.keep(copy(3), of: [1], since: book.generation)
        #expect(keys(book, of: [1]) == [3, 8, 7, 6, 5, 4, 2, 1])
        book.keep(copy(8, askedAt: 999_999), of: [1], since: book.generation)
        #expect(keys(book, of: [1]) == [3, 8, 7, 6, 5, 4, 2, 1])

        let full = LeaseBook()
        for origin in 0..<LeaseBook.capacity {
            full.keep(
                copy(1, askedAt: 900_000 + UInt64(origin)),
                of: [UInt8(origin >> 8), UInt8(origin & 0xFF)], since: full.generation)
        }
        #expect(full.count == LeaseBook.capacity)
        #expect(keys(full, of: [0, 0]) == [1])
        full.keep(copy(1), of: [99, 99, 99], since: full.generation)
        #expect(full.count == LeaseBook.capacity)
        // The oldest made room.
        #expect(keys(full, of: [0, 0]) == [])
        #expect(keys(full, of: [0, 1]) == [1])
        #expect(keys(full, of: [99, 99, 99]) == [1])
    }

    // MARK: The keys

    @Test func aBindingKeyIsReplacedAndErased() throws {
        let clock = TestClock()
        let keys = Wire.freshBindingKeys(clock)
        let first = keys.currentHash
        let base = [UInt8](repeating: 5, count: 64)
        // No quote, no replacement.
        clock.now += 10 * BindingKeys.replacedAfter
        #expect(keys.currentHash == first && keys.lease(first, base: base) != nil)
        clock.now = 1_000_000 + BindingKeys.replacedAfter - 1
        #expect(try keys.forQuote().hash == first)
        clock.now += 1
        let second = try keys.forQuote().hash
        #expect(second != first && keys.currentHash == second)
        clock.now += BindingKeys.signsAfterwards - 1
        let signature = try #require(keys.lease(first, base: base))
        #expect(signature.count == 64)
        #expect(keys.lease([UInt8](repeating: 0, count: 32), base: base) == nil)
        clock.now += 1
        keys.erase()
        clock.now -= 1
        // It is gone, not only refused.
        #expect(keys.lease(first, base: base) == nil)
        #expect(keys.lease(second, base: base) != nil)
        #expect(keys.leasesSigned == 3)
    }

    @Test func oneQuoteServesMany() throws {
        let attester = CountingAttester(inner: try SimulatedAttester())
        let attestation = ExchangeSettings.Attestation(
            attester: attester, bindingKeys: Wire.freshBindingKeys())
        let bases = (0..<37).map { [UInt8](repeating: UInt8($0), count: 64) }
        let jobs = bases.map { QuoteJob(attestation: attestation, work: .quote(base: $0)) }
        let outcomes = QuoteJob.run(jobs)
        #expect(attester.quotes == 1)
        for (base, outcome) in zip(bases, outcomes) {
            guard case .evidence(let quoted) = try outcome.get().product else {
                Issue.record("no Evidence")
                continue
            }
            let body = quoted.body(
                nonce: [UInt8](repeating: 1, count: 32),
                configuration: Array(#"{"access_log":"off"}"#.utf8))
            let job = AppraisalJob(
                body: body, base: base, asks: .policy(Sample.policy()), now: 1_800_000_000,
                activations: [])
            guard case .success = job.run() else {
                Issue.record("refused")
                continue
            }
            // Nobody else's.
            let other = AppraisalJob(
                body: body, base: bases[(Int(base[0]) + 1) % 37], asks: .policy(Sample.policy()),
                now: 1_800_000_000, activations: [])
            guard case .failure = other.run() else {
                Issue.record("admitted for another connection")
                continue
            }
        }
        // 37! orders: that they come out as they went in is no chance.
        let places = try outcomes.map { outcome -> UInt32 in
            guard case .evidence(let quoted) = try outcome.get().product else { return 0 }
            return quoted.path.sides
        }
        #expect(places != places.sorted())
    }
}

/// Counts the quotes that it is asked for.
final class CountingAttester: Attester {
    private let inner: SimulatedAttester
    private let clock = TestClock()

    init(inner: SimulatedAttester) { self.inner = inner }

    var quotes: Int { Int(clock.now) - 1_000_000 }
    var name: String { inner.name }
    var kinds: [EvidenceKind] { inner.kinds }

    func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence] {
        clock.now += 1
        return try inner.quote(challenge)
    }
}
