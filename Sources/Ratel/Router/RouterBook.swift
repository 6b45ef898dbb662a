internal import Bytes
internal import Keys
internal import Ledger
internal import Logging
internal import Loop
internal import Receipts

/// The router's papers: its key, the ledger's desk, the seeds of its draws, and its callers.
final class RouterBook: Sendable {
    /// Who asks.
    struct Account: Sendable, Equatable {
        /// What stands in receipts: names nobody.
        let id: String
        /// What the operator calls it.
        let name: String
        /// What parts its caches from others'.
        let salt: String
    }

    /// A seed that requests are drawn with now.
    struct Seed: Sendable {
        let bytes: [UInt8]
        let commitment: [UInt8]
    }

    let key: PrivateKey
    /// SHA-256 of its SubjectPublicKeyInfo: what providers' facts name the router by.
    let keyDigest: [UInt8]
    let desk: LedgerDesk
    let period: Int64
    /// Opens a ledger of one's own, for a thread that may not hold the desk up.
    let openLedger: @Sendable () throws(LedgerError) -> Ledger
    private let seeds = Locked<[Int64: Seed]>([:])
    private let accounts = Locked<[[UInt8]: Account]>([:])

    /// The account of the router's own probes.
    let canary = Account(id: "ratel-canary", name: "canary", salt: "ratel-canary")

    /// Opens what lies in `folder`, or makes it; the ledger is there, or at `place`.
    init(
        folder: String, place: String?, period: Int64, logger: Logger
    ) throws(ConfigurationError) {
        guard System.makeDirectories(folder) else {
            throw ConfigurationError("--state \(folder): cannot be made")
        }
        let key: PrivateKey
        do throws(KeyError) {
            key = try RouterBook.key(in: folder)
        } catch {
            throw ConfigurationError("--state \(folder): \(error)")
        }
        self.key = key
        keyDigest = Digest.sha256(key.spki)
        self.period = period
        let place = place ?? folder + "/ledger.sqlite"
        openLedger = { () throws(LedgerError) in
            try Ledger(at: place, key: key, period: period)
        }
        do throws(LedgerError) {
            desk = try LedgerDesk(openLedger)
        } catch {
            throw ConfigurationError("the ledger: \(error)")
        }
    }

    private static func key(in folder: String) throws(KeyError) -> PrivateKey {
        let path = folder + "/router.key"
        if let pem = System.readFile(path, limit: 64 << 10) {
            return try PrivateKey(pem: String(decoding: pem, as: UTF8.self))
        }
        guard !System.exists(path) else { throw KeyError(.malformed, "\(path): cannot be read") }
        let key = try PrivateKey.generate()
        guard System.replaceFile(path, Array(try key.pem().utf8)),
            System.replaceFile(
                folder + "/router.pem", Array(PEM.encode(key.spki, label: "PUBLIC KEY").utf8))
        else { throw KeyError(.library, "\(path): cannot be written") }
        return key
    }

    /// A secret of the router's own for one purpose, 32 bytes.
    func secret(for purpose: String) -> [UInt8] {
        // A signature of ECDSA is random; the key's own text is not, and is as secret.
        Digest.sha256.authenticate(
            Array(purpose.utf8), key: Digest.sha256(Array(((try? key.pem()) ?? "").utf8)))
    }

    // MARK: Callers

    /// Takes the callers of the file, and has their terms and credits written.
    func take(_ keys: [RouterFile.Key], then report: @escaping @Sendable (LedgerError?) -> Void) {
        var found: [[UInt8]: Account] = [:]
        for key in keys { found[key.digest] = account(key) }
        let accounts = found
        self.accounts.withLock { $0 = accounts }
        let canary = canary.id
        desk.run { (ledger) throws(LedgerError) in
            try ledger.set(account: canary, terms: .postpaid(budget: nil, period: .day))
            for key in keys {
                guard let account = accounts[key.digest] else { continue }
                try ledger.set(account: account.id, terms: key.terms)
                for credit in key.credits {
                    try ledger.credit(
                        account: account.id, amount: credit.amount, reference: credit.reference)
                }
            }
        } then: { outcome in
            if case .failure(let error) = outcome { report(error) } else { report(nil) }
        }
    }

    // By the ledger's secret, so that all of its routers know a caller as one.
    private func account(_ key: RouterFile.Key) -> Account {
        func name(_ purpose: String) -> String {
            let bytes = Digest.sha256.authenticate(
                Array(purpose.utf8) + [0] + key.digest, key: desk.secret)
            return Hex.encode(Array(bytes.prefix(16)))
        }
        return Account(id: "acct-" + name("account"), name: key.name, salt: name("cache"))
    }

    /// Whose key this is; nil where it is nobody's.
    func account(ofKey text: String) -> Account? {
        let digest = Digest.sha256(Array(text.utf8))
        return accounts.withLock { $0[digest] }
    }

    // MARK: Draws

    /// The seed of now; nil where the ledger has not given it yet.
    func seed(at time: Int64) -> Seed? {
        seeds.withLock { $0[time / period] }
    }

    /// Has the seeds of now and of the next period ready.
    func refreshSeeds() {
        let now = System.nowMilliseconds
        for time in [now, now + period] where seed(at: time) == nil {
            let (index, seeds) = (time / period, seeds)
            desk.run { (ledger) throws(LedgerError) in
                try ledger.seed(at: time)
            } then: { outcome in
                guard case .success(let bytes) = outcome else { return }
                seeds.withLock { seeds in
                    seeds[index] = Seed(
                        bytes: bytes, commitment: Decision.commitment(to: bytes))
                    for old in seeds.keys where old < index - 2 { seeds[old] = nil }
                }
            }
        }
    }

    func stop() { desk.stop() }
}
