import Keys
import Ledger
import Loop
import Receipts

/// A router and a provider without a network, which serve until they are killed:
/// `LedgerRun PLACE FOLDER SEED serve|settle`.
///
/// FOLDER has `router.key` and `provider.key`, and gets `provider.jsonl`, what the provider signed,
/// and `exports`. `serve` prints `ready`, and each receipt once the ledger has answered it: a line
/// of its id, place, digest and cost. `settle` writes what is left and the exports, and ends.
@main
enum LedgerRun {
    /// Exports of a second, so that kills meet them too.
    static let period: Int64 = 1_000

    static func main() {
        let words = CommandLine.arguments
        guard words.count == 5, let seed = UInt64(words[3]) else {
            return end("usage: LedgerRun PLACE FOLDER SEED serve|settle")
        }
        do {
            try run(place: words[1], folder: words[2], seed: seed, serves: words[4] == "serve")
        } catch {
            end("\(error)")
        }
    }

    private static func end(_ message: String) {
        System.writeError(message)
        System.exit(1)
    }

    private static func run(
        place: String, folder: String, seed: UInt64, serves: Bool
    ) throws {
        let key = try readKey("\(folder)/router.key")
        let open = { @Sendable () throws(LedgerError) in
            try Ledger(at: place, key: key, period: period)
        }
        let provider = try Provider(
            key: try readKey("\(folder)/provider.key"), router: Digest.sha256(key.spki),
            log: "\(folder)/provider.jsonl", now: System.now)
        try patiently {
            let ledger = try open()
            for offer in provider.offers { try ledger.keep(offer) }
            try settle(ledger, provider)
            if serves { try Traffic.setAccounts(ledger, reference: "run-\(seed)") }
        }
        let exports = "\(folder)/exports"
        guard serves else {
            System.sleep(milliseconds: UInt32(period) + 100)
            return try LedgerExporter.write(
                of: try open(), into: exports, now: System.now * 1_000, report: { _ in })
        }
        _ = LedgerExporter(into: exports, open, report: say)
        try patiently { Traffic(try LedgerDesk(open), provider, seed: seed).start() }
        System.writeOutput("ready\n")
        // Until it is killed; a minute at the most.
        System.sleep(milliseconds: 60_000)
    }

    /// Does it until the database is there: it is killed too.
    private static func patiently(_ body: () throws -> Void) throws {
        while true {
            do {
                return try body()
            } catch let error as LedgerError where error.code == .unavailable {
                System.writeError("\(error)")
                System.sleep(milliseconds: 50)
            }
        }
    }

    /// What a crash left: billed by the provider's facts, or ended without any.
    private static func settle(_ ledger: Ledger, _ provider: Provider) throws {
        for pending in try ledger.pending() {
            if let service = provider.signed(pending.id), let offer = pending.offer,
                let statement = try ledger.offer(offer)
            {
                let entry = try pending.served(
                    service, under: statement, at: System.now * 1_000)
                _ = try ledger.append([entry])
            } else {
                try ledger.abandon(pending.id, at: System.now * 1_000)
            }
        }
    }

    private static func say(_ event: LedgerExporter.Event) {
        if case .failed(let error) = event { System.writeError("\(error)") }
    }

    private static func readKey(_ path: String) throws -> PrivateKey {
        // A key on P-256 has 241 bytes.
        let bytes = System.readFile(path, limit: 16 << 10) ?? []
        return try PrivateKey(pem: String(decoding: bytes, as: UTF8.self))
    }
}
