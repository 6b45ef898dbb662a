import Bytes
import Keys
import RATLS
import RATS
import TLS

/// Two ends of one connection, whose records are handed over in memory.
final class Pair {
    private let client: ChannelBench.End
    private let server: ChannelBench.End
    private let pool: BufferPool
    private var sessions: Sessions
    private var exchanges: [Role: Exchange] = [:]
    private var handshakes: [Role: Handshake] = [:]
    private var quote: (role: Role, job: QuoteJob)?
    private var settled: Set<Role> = []

    struct Broken: Error {}

    private struct Sessions: ~Copyable {
        var client: TLSSession
        var server: TLSSession
    }

    init(_ client: ChannelBench.End, _ server: ChannelBench.End, _ pool: BufferPool) throws {
        self.client = client
        self.server = server
        self.pool = pool
        sessions = Sessions(
            client: try TLSSession(client.context), server: try TLSSession(server.context))
        try shake()
    }

    private func shake() throws {
        var toServer: Buffer? = nil
        var toClient: Buffer? = nil
        for _ in 0..<8 where handshakes.count < 2 {
            guard var fromClient = pool.lend(), var fromServer = pool.lend() else { throw Broken() }
            if handshakes[.client] == nil {
                if case .complete(let found) = sessions.client.handshake(
                    &toClient, into: &fromClient)
                {
                    handshakes[.client] = found
                }
            }
            toServer = consume fromClient
            if handshakes[.server] == nil {
                if case .complete(let found) = sessions.server.handshake(
                    &toServer, into: &fromServer)
                {
                    handshakes[.server] = found
                }
            }
            toClient = consume fromServer
        }
        guard handshakes.count == 2 else { throw Broken() }
    }

    func begin(both: Bool, leased: Bool) throws {
        for (role, end) in [(Role.client, client), (.server, server)] {
            guard let handshake = handshakes[role] else { throw Broken() }
            let facts = ChannelFacts(
                channelID: handshake.channelID, role: role, localSPKI: handshake.localKey,
                peerSPKI: handshake.peerKey,
                export: { [unowned self] label, context in
                    role == .client
                        ? sessions.client.export(label: label, context: context, count: 32)
                        : sessions.server.export(label: label, context: context, count: 32)
                })
            exchanges[role] = Exchange(
                settings: end.settings(asks: both || role == .client), channel: facts,
                moment: ChannelBench.now)
        }
        for (role, end) in [(Role.client, client), (.server, server)] {
            let leases = leased ? [end.lease].compactMap(\.self) : []
            guard let challenge = exchanges[role]?.start(leases: leases) else { throw Broken() }
            try send(challenge, from: role)
        }
    }

    /// One turn of each side; false when nothing more can be done without a quote.
    func step() throws -> Bool {
        var moved = false
        for role in [Role.client, .server] where !settled.contains(role) {
            loop: while true {
                switch exchanges[role]?.next() {
                case .send(let bytes)?: try send(bytes, from: role)
                case .quote(let job)?: quote = (role, job)
                case .appraise(let job)?:
                    let cache = role == .client ? client.cache : server.cache
                    exchanges[role]?.appraised(job.run(cache: cache))
                case .settled?:
                    settled.insert(role)
                    break loop
                case .wait?: break loop
                default: throw Broken()
                }
                moved = true
            }
        }
        return moved && settled.count < 2
    }

    /// The job that this connection waits for.
    func waitingQuote() throws -> QuoteJob {
        guard let quote else { throw Broken() }
        return quote.job
    }

    func quoted(_ outcome: Result<QuoteJob.Outcome, Refusal>) {
        guard let role = quote?.role else { return }
        quote = nil
        exchanges[role]?.quoted(outcome)
    }

    /// What waits for a quote gets one of its own.
    func runQuote() {
        if let job = quote?.job { quoted(job.run()) }
    }

    func finish() throws {
        guard settled.count == 2 else { throw Broken() }
        for (role, end) in [(Role.client, client), (.server, server)] {
            if let lease = exchanges[role]?.takeLease() { end.lease = lease }
        }
    }

    /// Frames go as records of TLS, as they would.
    private func send(_ bytes: [UInt8], from role: Role) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard var plain = pool.lend(), var record = pool.lend(), var read = pool.lend() else {
                throw Broken()
            }
            let piece = Array(rest.prefix(BufferPool.plaintextSize))
            rest = rest.dropFirst(piece.count)
            _ = plain.append(piece.span)
            if role == .client {
                guard sessions.client.encrypt(&plain, into: &record) == nil else { throw Broken() }
                _ = sessions.server.decrypt(&record, into: &read)
                exchanges[.server]?.receive(
                    Array(copying: read.bytes), uptime: ChannelBench.now.uptime)
            } else {
                guard sessions.server.encrypt(&plain, into: &record) == nil else { throw Broken() }
                _ = sessions.client.decrypt(&record, into: &read)
                exchanges[.client]?.receive(
                    Array(copying: read.bytes), uptime: ChannelBench.now.uptime)
            }
        }
    }
}
