internal import Bytes
internal import HTTP
internal import Keys
internal import Loop
internal import Receipts
internal import Streams

/// Counts one answer of an engine as the engine counts it, takes out of it what only this side had
/// asked for, chains what goes on, and signs the facts of it.
final class ServiceTap: EventTap {
    /// What the caller itself asked to be told of the counts of a stream.
    enum Asked {
        case nothing
        /// Once, at the end.
        case total
        /// With each piece.
        case always
    }

    private let book: ServiceBook
    private let standing: ServiceBook.Standing
    private let path: InferencePath
    private let asked: Asked
    private let chain: RunningChain
    private let request: [UInt8]
    private let receipt: String
    /// SHA-256 of the router's key; zeros where none asks.
    private let router: [UInt8]
    private let isRouted: Bool
    private let started: Int64
    private let didEnd: () -> Void

    private var counts = EngineCounts()
    private var first: Int64 = 0
    /// Whether the engine has begun to serve: then there are facts.
    private var isServing = false
    private var isStreaming = false
    /// Whether a stream had the event that ends it, and none that says that it failed.
    private var isTerminated = false
    private var hasError = false
    private var isSigned = false
    private var isOver = false
    /// An answer that is no stream, as far as its counts are looked for in it.
    private var whole: [UInt8] = []

    /// Bytes of an answer that is no stream: embeddings of 2,048 texts, 4,096 numbers of 12 bytes
    /// each, are some 100 MiB; beyond it the counts are not found, and nothing is billed.
    private static let maxWhole = 128 << 20

    /// `request` is the SHA-256 of the body as it came; `didEnd` is called once.
    init(
        _ standing: ServiceBook.Standing, of book: ServiceBook, path: InferencePath, asked: Asked,
        request: [UInt8], receipt: String, router: [UInt8]?, didEnd: @escaping () -> Void
    ) {
        self.book = book
        self.standing = standing
        self.path = path
        self.asked = asked
        self.request = request
        self.receipt = receipt
        self.router = router ?? [UInt8](repeating: 0, count: 32)
        isRouted = router != nil
        self.didEnd = didEnd
        chain = RunningChain(request: request)
        started = System.nowMilliseconds
        super.init()
    }

    // Who sent no receipt has no use for them.
    private var tellsFacts: Bool { isRouted && carriesTrailers }

    /// The field line behind an answer that has its facts.
    static let trailer = "ratel-service"

    override func judge(_ head: ResponseHead, isAnnounced: Bool) -> Judgement {
        var head = head
        head.fields.set("X-Ratel-Receipt-Id", receipt)
        guard (200..<300).contains(head.status) else { return .pass(head, .watch) }
        // Its counts could not be read, and what it is worth is not known.
        guard head.status == 200 else { return .refuse(.provider(head.status)) }
        guard head.isPlain else { return .refuse(.packed) }
        isServing = true
        guard head.isEventStream else {
            // Who reads trailers reads them behind a body without a length.
            if tellsFacts { head.fields.removeAll(named: "content-length") }
            return .pass(head, .watch)
        }
        isStreaming = true
        return .pass(head, .rewrite)
    }

    // MARK: Content

    override func event(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Verdict {
        if first == 0 { first = System.nowMilliseconds }
        let reading = EventReading(bytes, range)
        reading.count(bytes, into: &counts)
        if reading.isTerminator(bytes, of: path) { isTerminated = true }
        if reading.error != nil { hasError = true }
        let verdict = verdict(reading, bytes)
        switch verdict {
        case .keep: chain.append(bytes.extracting(range))
        case .drop: break
        case .cut(let hole):
            chain.cover(bytes.extracting(range.lowerBound..<hole.lowerBound))
            chain.cover(bytes.extracting(hole.upperBound..<range.upperBound))
            chain.end()
        }
        return verdict
    }

    private func verdict(_ reading: EventReading, _ bytes: Span<UInt8>) -> Verdict {
        guard path.asksForUsage, let usage = reading.usage else { return .keep }
        guard reading.hasChoices(bytes) else { return asked == .nothing ? .drop : .keep }
        return asked == .always ? .keep : .cut(ServiceTap.hole(usage, bytes))
    }

    /// The member with a comma, so that what is left is an object.
    private static func hole(_ member: JSONMembers.Member, _ bytes: Span<UInt8>) -> Range<Int> {
        guard member.isFirst else { return member.whole }
        var end = member.whole.upperBound
        while end < bytes.count, bytes[end] == 0x20 { end += 1 }
        return member.whole.lowerBound..<(bytes[end] == UInt8(ascii: ",") ? end + 1 : end)
    }

    override func watch(_ content: Span<UInt8>) {
        guard isServing, !content.isEmpty else { return }
        if first == 0 { first = System.nowMilliseconds }
        chain.cover(content)
        guard whole.count + content.count <= ServiceTap.maxWhole else { return }
        whole.append(copying: content)
    }

    // MARK: The end

    override func complete(trailers: inout [UInt8]) -> [UInt8] {
        // Those of an engine have no meaning here.
        trailers = []
        guard isServing else { return [] }
        let rest = remainder
        if !rest.isEmpty { chain.append(rest.span) }
        if !whole.isEmpty { readWhole() }
        // A stream that ends without its terminator is an error, whoever ended it.
        let isWhole = !isStreaming || isTerminated && !hasError
        if let statement = sign(isWhole ? .complete : .error), tellsFacts {
            let line = "\(ServiceTap.trailer): \(statement.json.serialised())\r\n\r\n"
            trailers = Array(line.utf8)
        }
        // What an engine left without an end is its caller's to judge.
        return rest
    }

    private func readWhole() {
        chain.end()
        var members = JSONMembers(whole.span, 0..<whole.count)
        while let member = members.next(whole.span) {
            if whole.span.equals(member.name, "usage") { counts.read(whole.span, member.value) }
        }
        whole = []
    }

    override func finished(_ summary: ExchangeSummary) {
        guard !isOver else { return }
        isOver = true
        if isServing {
            let isCallers = summary.failure.map { $0.code == "client.left" } ?? true
            // Who leaves once the last event has come gave nothing up.
            let isWhole = isTerminated && !hasError
            _ = sign(isCallers ? (isWhole ? .complete : .cancelled) : .error)
        } else {
            book.forget(receipt)
        }
        didEnd()
    }

    private func sign(_ end: Receipts.ServiceEnd) -> SignedStatement? {
        guard !isSigned else { return nil }
        isSigned = true
        return book.sign(
            ServiceFacts(
                receipt: receipt, router: router, sequence: 0, previous: [],
                offer: standing.statement.digest,
                model: standing.offer.model.id, weights: standing.offer.model.weights,
                request: request, response: chain.response(), chainHead: chain.head,
                events: Int64(chain.count), usage: counts.usage, end: end, started: started,
                first: first, ended: System.nowMilliseconds))
    }
}
