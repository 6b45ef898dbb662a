import Appraisal
import Attestation
import Bytes
import Glibc
import Keys
import RATLS
import RATS
import TLS

/// Times the opening of attested connections, both ends in one process and nothing between them:
/// `ChannelBench ROUNDS`.
///
/// Prints a line for each way to open one: its name and the median of the CPU microseconds of both
/// ends together, handshake and frames included, sockets not. `tls` is mutual TLS 1.3 alone,
/// P-256 on both sides; in the others the server attests, or both do.
@main struct ChannelBench {
    static func main() throws {
        guard let rounds = CommandLine.arguments.dropFirst().first.flatMap({ Int($0) }), rounds > 0
        else { exit(2) }
        let bench = try ChannelBench()
        // In turn, so that what the machine does meanwhile meets all of them.
        var times: [[Double]] = Array(repeating: [], count: Way.allCases.count)
        for round in 0..<(rounds + rounds / 10 + 1) {
            for (index, way) in Way.allCases.enumerated() {
                // The first after the others finds their memory and not its own.
                try bench.open(way)
                let began = cpu()
                for _ in 0..<way.repeats { try bench.open(way) }
                if round > rounds / 10 {
                    let connections = Double(way.connections * way.repeats)
                    times[index].append((cpu() - began) / connections)
                }
            }
        }
        for (way, all) in zip(Way.allCases, times) {
            print("\(way.rawValue) \(all.sorted()[all.count / 2])")
        }
    }

    enum Way: String, CaseIterable {
        case tls
        case lease
        case leases = "lease-of-both"
        case alone = "evidence"
        case batch64 = "evidence-64-a-quote"
        case batch1024 = "evidence-1024-a-quote"

        /// How often it is done in a row, so that each way is measured over some hundred
        /// connections.
        var repeats: Int { max(1, 256 / connections) }

        /// Connections that share a quote.
        var connections: Int {
            switch self {
            case .tls, .lease, .leases, .alone: 1
            case .batch64: 64
            case .batch1024: 1_024
            }
        }
    }

    private let server: End
    private let client: End
    private let pool = BufferPool(capacity: 64)

    private init() throws {
        server = try End(.server)
        client = try End(.client)
    }

    /// What one end is: its context, its Evidence, its policy, what it remembers of the other.
    final class End {
        let role: Role
        let context: TLSContext
        let attestation: ExchangeSettings.Attestation
        let cache = AppraisalCache()
        var lease: Lease?

        init(_ role: Role) throws {
            self.role = role
            let key = try PrivateKey.generate()
            let leaf = try LeafCertificate.make(
                key: key, commonName: "bench", now: ChannelBench.now.unix - 60,
                lifetime: 86_400)
            context = try TLSContext(
                side: role == .server ? .server : .client,
                identity: TLSIdentity(key: key, certificates: [leaf]),
                protocols: [ChannelProtocol.attestedHTTP2],
                verifier: ChannelVerifier(demandsCertificate: true))
            attestation = ExchangeSettings.Attestation(
                attester: try SimulatedAttester(),
                bindingKeys: try BindingKeys(clock: { ChannelBench.now.uptime }))
        }

        func settings(asks: Bool) -> ExchangeSettings {
            let peer = PeerPolicy(
                name: "bench", tier: .session, maxAge: 3_600, require: [.simulated: 1], tpm: nil,
                simulated: true, configuration: [])
            let policy = AppraisalPolicy(
                mode: .enforce, peers: asks ? .appraised([peer]) : .anonymous,
                digest: [UInt8](repeating: 1, count: 48))
            return ExchangeSettings(
                asks: .policy(policy), attestation: attestation,
                configuration: Array(#"{"access_log":"off","backend":"loopback"}"#.utf8))
        }
    }

    static let now: Moment = {
        var time = timespec()
        unsafe clock_gettime(CLOCK_BOOTTIME, &time)
        return Moment(
            unix: Int64(Glibc.time(nil)),
            uptime: UInt64(time.tv_sec) * 1_000 + UInt64(time.tv_nsec) / 1_000_000)
    }()

    private func open(_ way: Way) throws {
        switch way {
        case .tls: _ = try Pair(client, server, pool)
        case .lease: try exchange(both: false, leased: true)
        case .leases: try exchange(both: true, leased: true)
        case .alone, .batch64, .batch1024: try batch(way.connections)
        }
    }

    private func exchange(both: Bool, leased: Bool) throws {
        let pair = try Pair(client, server, pool)
        try pair.begin(both: both, leased: leased)
        while try pair.step() {
            pair.runQuote()
        }
        try pair.finish()
    }

    /// Opens connections that all wait when the quote is taken.
    private func batch(_ count: Int) throws {
        var pairs: [Pair] = []
        for _ in 0..<count {
            let pair = try Pair(client, server, pool)
            try pair.begin(both: false, leased: false)
            while try pair.step() {}
            pairs.append(pair)
        }
        let outcomes = QuoteJob.run(try pairs.map { try $0.waitingQuote() })
        for (pair, outcome) in zip(pairs, outcomes) {
            pair.quoted(outcome)
            while try pair.step() {}
            try pair.finish()
        }
    }

    /// Microseconds of CPU that this process has used.
    private static func cpu() -> Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
    }
}
