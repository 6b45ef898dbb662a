import Bytes
import Glibc
import Keys
import Loop
import RATS
import Receipts

/// A provider with two offers, whose facts are in a file before anybody gets them.
final class Provider: Sendable {
    private struct State {
        var sequence: Int64 = 0
        var latest: String?
        var last = [UInt8](repeating: 0, count: 32)
        /// Lines of the log by their request: few are asked for.
        var signed: [String: String] = [:]
    }

    static let prices = [
        Price(input: 150_000_001, cached: 15_000_000, output: 600_000_000),
        Price(input: 170_000_003, cached: 0, output: 500_000_000, minimum: 100_000),
    ]

    let offers: [SignedStatement]
    private let key: PrivateKey
    /// SHA-256 of the key of the one router that asks.
    private let router: [UInt8]
    private let descriptor: Int32
    private let state: Locked<State>

    init(key: PrivateKey, router: [UInt8], log: String, now: Int64) throws {
        self.key = key
        self.router = router
        offers = try Provider.prices.enumerated().map { index, price in
            let offer = Offer(
                id: "o-\(index)", sequence: now, keyset: Digest.sha256(key.spki),
                measurement: Digest.sha256([1]),
                model: .init(id: "m", weights: Digest.sha256([2]), quantization: "none"),
                price: price, billing: .prepaid, settlement: "invoice",
                cancelPolicy: index == 0 ? .counted : .free, tokensPerMinute: 1_000, streams: 10,
                region: "eu", retention: "none", notBefore: now - 60, notAfter: now + 3_540)
            return try SignedStatement(.offer, offer.json, signedBy: key)
        }
        let (state, size) = try Provider.read(log)
        self.state = Locked(state)
        descriptor = unsafe open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        // What a kill cut off was given to nobody.
        guard descriptor >= 0, ftruncate(descriptor, size) == 0 else {
            throw Refusal(
                "run.log", .evidence, field: log, expected: "a file", got: "none", remedy: "")
        }
        lseek(descriptor, 0, SEEK_END)
    }

    private static func read(_ log: String) throws -> (State, Int) {
        let bytes = System.readFile(log, limit: 256 << 20) ?? []
        let end = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        var state = State()
        for line in bytes[..<end].split(separator: UInt8(ascii: "\n")) {
            let body = JSONParser.parse(Array(line))?["body"]
            guard let id = body?["receipt_id"]?.text else { continue }
            state.signed[id] = String(decoding: line, as: UTF8.self)
            state.latest = id
        }
        if let latest = state.latest, let statement = statement(state.signed[latest]) {
            state.sequence = try ServiceFacts(statement).sequence
            state.last = statement.digest
        }
        return (state, end)
    }

    func signed(_ id: String) -> SignedStatement? {
        Provider.statement(state.withLock { $0.signed[id] })
    }

    private static func statement(_ line: String?) -> SignedStatement? {
        line.flatMap { try? SignedStatement(.service, reading: JSONParser.parse(Array($0.utf8))) }
    }

    /// Serves a request, and signs that before it is known to anybody else.
    func serve(_ id: String, offer: [UInt8], usage: Usage, end: ServiceEnd) throws
        -> SignedStatement
    {
        try state.withLock { state in
            let now = System.now * 1_000
            let facts = ServiceFacts(
                receipt: id, router: router, sequence: state.sequence + 1, previous: state.last,
                offer: offer,
                model: "m", weights: Digest.sha256([2]), request: Digest.sha256([3]),
                response: Digest.sha256([4]), chainHead: Digest.sha256([5]), events: 3,
                usage: usage, end: end, started: now, first: now, ended: now)
            let statement = try SignedStatement(.service, facts.json, signedBy: key)
            let text = statement.json.serialised()
            let line = Array((text + "\n").utf8)
            let count = unsafe line.withUnsafeBufferPointer {
                unsafe write(descriptor, $0.baseAddress, $0.count)
            }
            precondition(count == line.count, "the log is written")
            state.sequence += 1
            state.last = statement.digest
            state.signed[id] = text
            return statement
        }
    }
}
