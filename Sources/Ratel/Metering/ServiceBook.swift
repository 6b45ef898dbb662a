internal import Bytes
internal import Keys
internal import Loop
internal import Receipts

/// What a provider signs: its offers, and the facts of each request that it served, numbered under
/// one key that lives as long as the process and never leaves it.
final class ServiceBook: Sendable {
    /// An offer in force.
    struct Standing: Sendable {
        let statement: SignedStatement
        let offer: Offer
        let model: OffersFile.Model
    }

    private struct Chain {
        var sequence: Int64 = 0
        var previous = [UInt8](repeating: 0, count: 32)
    }

    private struct State {
        var models: [OffersFile.Model]
        /// By router: each holds its own requests against each other, and knows of no others.
        var chains: [[UInt8]: Chain] = [:]
        /// Of each model, the newest version last; the one before is good for requests that were
        /// priced by it.
        var standing: [String: [Standing]] = [:]
        /// The offers' own numbers.
        var versions: Int64
        /// Facts by receipt, and their order: who lost an answer asks for them.
        var kept: [String: SignedStatement] = [:]
        var order: [String] = []
        var first = 0
        /// Receipts under way.
        var open: Set<String> = []
    }

    /// SHA-256 of the key's SubjectPublicKeyInfo: what this side's Evidence vouches for.
    let keyset: [UInt8]
    private let key: PrivateKey
    private let measurement: [UInt8]
    private let state: Locked<State>

    /// Facts that are kept: an hour of a thousand requests a minute, some 2 KiB each.
    private static let maxKept = 65_536
    /// Routers that are numbered for, some 100 bytes each: those beyond are served as no router.
    private static let maxRouters = 4_096
    /// Callers that are no routers.
    private static let none = [UInt8](repeating: 0, count: 32)
    /// How long an offer that was replaced is still good for what was priced by it, in seconds: a
    /// router looks each few seconds.
    private static let overlap: Int64 = 60

    init(_ models: [OffersFile.Model], measurement: [UInt8]) throws(KeyError) {
        key = try PrivateKey.generate()
        keyset = Digest.sha256(key.spki)
        self.measurement = measurement
        // Above the numbers of an earlier process: one a second is more than are made.
        state = Locked(State(models: models, versions: System.now << 8))
        renew()
    }

    // MARK: Offers

    /// Offers these from now on.
    func replace(_ models: [OffersFile.Model]) {
        state.withLock { state in
            state.models = models
            for model in models { issue(model, &state) }
            // Those that are gone are withdrawn, in place of being left to expire.
            let names = Set(models.map(\.offer.model.id))
            for (name, versions) in state.standing where !names.contains(name) {
                guard var model = versions.last?.model else { continue }
                model.offer.streams = 0
                issue(model, &state)
            }
        }
    }

    /// Makes the next version of each offer whose time is half over.
    func renew() {
        let now = System.now
        state.withLock { state in
            for model in state.models {
                let last = state.standing[model.offer.model.id]?.last?.offer
                if let last, last.notAfter - now > model.lifetime / 2 { continue }
                issue(model, &state)
            }
        }
    }

    private func issue(_ model: OffersFile.Model, _ state: inout State) {
        let now = System.now
        var offer = model.offer
        state.versions += 1
        offer.sequence = state.versions
        offer.keyset = keyset
        offer.measurement = measurement
        // Clocks differ by some seconds.
        offer.notBefore = now - 5
        offer.notAfter = offer.notBefore + model.lifetime
        // Its numbers are within what statements may have: `OffersFile`.
        guard let statement = try? SignedStatement(.offer, offer.json, signedBy: key) else {
            return
        }
        let made = Standing(statement: statement, offer: offer, model: model)
        let old = state.standing[offer.model.id]?.suffix(1) ?? []
        state.standing[offer.model.id] = Array(old) + [made]
    }

    /// The newest version of each offer.
    var offers: [Standing] {
        state.withLock { $0.standing.values.compactMap(\.last) }
            .sorted { $0.offer.model.id < $1.offer.model.id }
    }

    /// What a request for `model` is served under: the version that it was priced by, where it
    /// names one, or else the newest; nil where none is in force.
    func standing(_ model: String, digest: [UInt8]?) -> Standing? {
        let now = System.now
        return state.withLock { state in
            let versions = state.standing[model] ?? []
            let found = versions.last { digest == nil || $0.statement.digest == digest }
            guard let found, found.offer.isOpen,
                (found.offer.notBefore...found.offer.notAfter).contains(now)
            else { return nil }
            if let newest = versions.last, newest.statement.digest != found.statement.digest,
                now > newest.offer.notBefore + 5 + ServiceBook.overlap
            {
                return nil
            }
            return found
        }
    }

    // MARK: Facts

    /// Notes that a request is under way; false where this receipt was or is served already.
    func begin(_ receipt: String) -> Bool {
        state.withLock { $0.kept[receipt] == nil && $0.open.insert(receipt).inserted }
    }

    /// A request ended, and nothing was served of it.
    func forget(_ receipt: String) {
        state.withLock { _ = $0.open.remove(receipt) }
    }

    /// Signs the facts of a request that was served, with its router's next number.
    func sign(_ facts: ServiceFacts) -> SignedStatement? {
        state.withLock { state in
            state.open.remove(facts.receipt)
            var facts = facts
            if state.chains[facts.router] == nil, state.chains.count >= ServiceBook.maxRouters {
                facts.router = ServiceBook.none
            }
            let chain = state.chains[facts.router] ?? Chain()
            facts.sequence = chain.sequence + 1
            facts.previous = chain.previous
            guard let statement = try? SignedStatement(.service, facts.json, signedBy: key)
            else { return nil }
            state.chains[facts.router] = Chain(
                sequence: facts.sequence, previous: statement.digest)
            keep(statement, of: facts.receipt, &state)
            return statement
        }
    }

    private func keep(_ statement: SignedStatement, of receipt: String, _ state: inout State) {
        state.kept[receipt] = statement
        if state.order.count < ServiceBook.maxKept {
            state.order.append(receipt)
            return
        }
        state.kept[state.order[state.first]] = nil
        state.order[state.first] = receipt
        state.first = (state.first + 1) % ServiceBook.maxKept
    }

    /// The facts of a receipt: signed, still under way, or none.
    func facts(_ receipt: String) -> (statement: SignedStatement?, isOpen: Bool) {
        state.withLock { ($0.kept[receipt], $0.open.contains(receipt)) }
    }
}
