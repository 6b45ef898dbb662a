import Keys
import RATS
import Receipts
import Testing

@testable import Ledger

/// The ledger of one router in a database of its own, and requests for it.
final class Book {
    let place: String
    let key: PrivateKey
    let provider = try! PrivateKey.generate()
    let offer: SignedStatement
    static let hour: Int64 = 500_000
    /// When its requests begin.
    static let time = hour * 3_600_000
    static let price = Price(input: 1_000_000, cached: 0, output: 2_000_000)
    /// What each costs: 10 tokens at 1 nano-dollar and 5 at 2.
    static let cost: Int64 = 20
    private let isShared: Bool
    private var served: Int64 = 0
    private var last = [UInt8](repeating: 0, count: 32)

    init(_ place: Place) throws {
        self.place = try place.make()
        key = try PrivateKey.generate()
        isShared = false
        offer = try Book.offer(by: provider)
    }

    /// Another router's, in the same database.
    init(beside other: Book) throws {
        place = other.place
        key = try PrivateKey.generate()
        isShared = true
        offer = try Book.offer(by: provider)
    }

    deinit { if !isShared { Place.remove(place) } }

    func open(period: Int64 = Ledger.hour) throws -> Ledger {
        let ledger = try Ledger(at: place, key: key, period: period)
        try ledger.keep(offer)
        try keepEvidence(in: ledger, at: Book.time)
        return ledger
    }

    /// Of the provider, as far as `attested` reads it.
    func keepEvidence(
        of provider: PrivateKey? = nil, session: String = "s", in ledger: Ledger, at time: Int64
    ) throws {
        let key = Digest.sha256((provider ?? self.provider).spki)
        try ledger.keep(
            evidence: #"{"key":"\#(Hex.encode(key))","session":"\#(session)"}"#, of: key,
            session: session, at: time)
    }

    private static func attested(_ line: String) throws(Refusal) -> [UInt8] {
        guard
            let key = JSONParser.parse(Array(line.utf8))?["key"]?.text.flatMap(Hex.decode)
        else {
            throw Refusal(
                "test.evidence", .evidence, field: "", expected: "", got: line, remedy: "")
        }
        return key
    }

    /// A request that is handed to the provider.
    func pending(
        _ id: String, account: String = "a", reserve: Int64 = 50, of ledger: Ledger,
        at time: Int64 = Book.time
    ) throws -> Ledger.Pending {
        let request = Decision.Request(
            order: .price, expected: Usage(input: 10, cached: 0, output: 5, reasoning: 0),
            first: 0, gap: 0)
        let measures = Decision.Measures(
            cost: 20, first: 1, gap: 1, success: Decision.Measures.unit,
            inflation: Decision.Measures.unit, disagreement: 0, facts: 100, position: 0)
        let decision = Decision(
            request,
            weighing: [.init(offer: offer.digest, weight: 0, reason: "", measures: measures)])
        return Ledger.Pending(
            id: id, account: account, reserve: reserve, started: time, decision: decision,
            offer: offer.digest, price: Book.price, policy: Digest.sha256([6]),
            seedCommitment: Decision.commitment(to: try ledger.seed(at: time)))
    }

    /// What the provider signs of a request.
    func service(_ id: String, end: ServiceEnd = .complete) throws -> SignedStatement {
        served += 1
        let facts = ServiceFacts(
            receipt: id, router: Digest.sha256(key.spki), sequence: served, previous: last,
            offer: offer.digest, model: "m",
            weights: Digest.sha256([2]), request: Digest.sha256([3]), response: Digest.sha256([4]),
            chainHead: Digest.sha256([5]), events: 3,
            usage: Usage(input: 10, cached: 0, output: 5, reasoning: 0), end: end,
            started: Book.time + served, first: Book.time + served, ended: Book.time + served)
        let statement = try SignedStatement(.service, facts.json, signedBy: provider)
        last = statement.digest
        return statement
    }

    /// A request that was served, for the ledger to place.
    func entry(
        _ id: String, account: String = "a", of ledger: Ledger, at time: Int64? = nil
    ) throws -> Ledger.Entry {
        let pending = try pending(id, account: account, of: ledger, at: time ?? Book.time)
        return try entry(pending, at: time)
    }

    func entry(_ pending: Ledger.Pending, at time: Int64? = nil) throws -> Ledger.Entry {
        let service = try service(pending.id)
        return try pending.served(service, under: offer, at: time ?? Book.time + served)
    }

    /// The lines of a period's export by file.
    func export(
        _ ledger: Ledger, period: Int64 = Book.hour
    ) throws -> [LedgerExport.File: [String]] {
        var files: [LedgerExport.File: [String]] = [:]
        let now = (period + 1) * ledger.period
        try LedgerExport.write(period: period, of: ledger, now: now) {
            files[$0, default: []].append($1)
        }
        return files
    }

    func audit(_ files: [LedgerExport.File: [String]]) throws -> ExportAudit.Result {
        var chains = ServiceChains()
        return try audit(files, &chains)
    }

    func audit(
        _ files: [LedgerExport.File: [String]], _ chains: inout ServiceChains
    ) throws -> ExportAudit.Result {
        try ExportAudit.run(routerKey: key.spki, chains: &chains, attested: Book.attested) {
            file, each throws(Refusal) in
            for line in files[file] ?? [] { try each(line) }
        }
    }

    private static func offer(by provider: PrivateKey) throws -> SignedStatement {
        let offer = Offer(
            id: "o", sequence: 1, keyset: Digest.sha256(provider.spki),
            measurement: Digest.sha256([1]),
            model: .init(id: "m", weights: Digest.sha256([2]), quantization: "none"),
            price: Book.price, billing: .postpaid, settlement: "invoice", cancelPolicy: .counted,
            tokensPerMinute: 1, streams: 1, region: "eu", retention: "none",
            notBefore: Book.hour * 3_600, notAfter: Book.hour * 3_600 + 3_600)
        return try SignedStatement(.offer, offer.json, signedBy: provider)
    }
}
