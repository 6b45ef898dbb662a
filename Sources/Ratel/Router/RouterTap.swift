internal import Bytes
internal import HTTP
internal import Keys
internal import Ledger
internal import Loop
internal import RATS
internal import Receipts
internal import Streams

/// Stands on the way of one routed answer: sends its request to the next provider while nothing has
/// gone on, holds what comes against what the provider signs, and settles the bill.
final class RouterTap: EventTap {
    private var request: InferenceRequest
    private let digest: [UInt8]
    private let room: BodyRoom
    private let site: RouterSite
    private let head: RequestHead
    /// Of the policies that the choice rested on: read once, as it is a digest over all of them.
    private let policy: [UInt8]
    private var attempts: Attempts
    private var tried: [Receipt.Attempt] = []
    private var chosen: Market.Chosen?
    private var ticket: Market.Ticket?
    private var lastFailure: Failure?

    // The present answer.
    private let chain: RunningChain
    private var isServing = false
    private var isError = false
    private var errorBody: [UInt8] = []
    private var errorStatus = 0
    private var isStreaming = false
    private var isTerminated = false
    private var hasOwnError = false
    private var shape = EventShape()
    private var (whole, isWhole): ([UInt8], Bool) = ([], false)
    private var service: SignedStatement?
    private var isOver = false

    // What is measured.
    private var sentAt: UInt64 = 0
    private var firstAt: UInt64 = 0
    private var lastAt: UInt64 = 0
    private var chunks: Int64 = 0
    private var contentBytes: Int64 = 0

    /// Bytes of a provider's error that are read: twenty times what is told of its words.
    private static let maxError = 64 << 10

    /// `head` is the request's, ready for any provider; `room` is what its body takes.
    init(_ request: InferenceRequest, _ head: RequestHead, _ room: BodyRoom, at site: RouterSite) {
        self.request = request
        self.room = room
        digest = Digest.sha256(request.body)
        self.head = head
        self.site = site
        policy = site.state.policyHash
        attempts = Attempts(
            request.decision, receipt: request.id, seed: request.seed.bytes,
            limit: request.terms.attemptLimit)
        // What it chains is what came: the whole needs no digest of its own.
        chain = RunningChain(request: digest, digestsWhole: false)
        super.init()
    }

    // MARK: The way there

    /// The first provider, or the next; nil where none is left to ask.
    func next() -> AnswerTap.Upstreaming? {
        while let digest = attempts.next() {
            guard let chosen = site.market.chosen(digest, model: request.model),
                let pool = site.pool(for: chosen.provider)
            else {
                // It has another offer by now, or is gone.
                tried.append(Receipt.Attempt(offer: digest, outcome: .failed))
                continue
            }
            let expected = request.terms.input + (request.terms.maxOutput ?? 400)
            ticket = site.market.begin(
                chosen, model: request.model, tokens: min(expected, Usage.max),
                now: System.nowMilliseconds)
            self.chosen = chosen
            var head = head
            head.fields.set("Host", chosen.provider.address.description)
            head.fields.set("X-Ratel-Receipt-Id", request.id)
            head.fields.set("X-Ratel-Offer", Hex.encode(digest))
            head.fields.set("X-Ratel-Router", Hex.encode(site.book.keyDigest))
            return AnswerTap.Upstreaming(head, to: pool)
        }
        return nil
    }

    /// What is written of the request before its provider gets it.
    var pending: Ledger.Pending {
        Ledger.Pending(
            id: request.id, account: request.account.id, reserve: request.reserve,
            started: request.started, decision: request.decision, attempts: tried,
            offer: chosen?.statement.digest, price: chosen?.offer.price,
            policy: policy, seedCommitment: request.seed.commitment)
    }

    /// What a caller hears where nobody is left.
    var nobody: Failure {
        .nobody(request.decision, tried: tried, last: lastFailure)
    }

    /// The request was not accounted for, and goes nowhere.
    func neverBegan() {
        isOver = true
        settleTicket(.callers)
    }

    /// The caller left before the request went anywhere.
    func giveUp() {
        neverBegan()
        chosen = nil
        site.settle(pending.failed(at: System.nowMilliseconds), request, nil, nil)
    }

    override func didSendRequest() { sentAt = System.uptime }

    override func elsewhere(after failure: Failure) -> Upstreaming? {
        guard !isServing else { return nil }
        lastFailure = failure
        return goOn(.failed)
    }

    private func goOn(_ outcome: Receipt.Attempt.Outcome) -> Upstreaming? {
        leave(outcome)
        guard let way = next() else { return nil }
        // Billed by what is noted last; the answer does not wait for it.
        site.book.desk.begin(pending) { _ in }
        return way
    }

    private func leave(_ outcome: Receipt.Attempt.Outcome) {
        if let chosen {
            tried.append(Receipt.Attempt(offer: chosen.statement.digest, outcome: outcome))
        }
        chosen = nil
        settleTicket(outcome == .saturated ? .saturated : .failed)
    }

    // MARK: The head

    override func judge(_ head: ResponseHead, isAnnounced: Bool) -> Judgement {
        switch head.status {
        case 200:
            guard head.isPlain else { return skip(.packed) }
            return serve(head, isAnnounced)
        case 429, 503:
            if let chosen { site.market.note(chosen.provider, isFull: true) }
            return skip(.provider(head.status), as: .saturated)
        // What a caller can be blamed for; all else is the provider's own doing.
        case 400, 413, 415, 422:
            guard !isAnnounced else { return .refuse(.provider(head.status)) }
            isError = true
            errorStatus = head.status
            return .pass(error(head), .rewrite)
        default:
            if let chosen, head.status == 412 { site.refresh(chosen.provider) }
            return skip(.provider(head.status))
        }
    }

    /// Nothing of this answer is for the caller: the next provider may serve it.
    private func skip(
        _ failure: Failure, as outcome: Receipt.Attempt.Outcome = .failed
    ) -> Judgement {
        lastFailure = failure
        return goOn(outcome).map { .elsewhere($0) } ?? .refuse(nobody)
    }

    private func serve(_ head: ResponseHead, _ isAnnounced: Bool) -> Judgement {
        isStreaming = head.isEventStream
        guard !isAnnounced || isStreaming else {
            leave(.failed)
            return .refuse(.provider(head.status))
        }
        isServing = true
        // It goes nowhere else any more.
        request.body = []
        room.shrink(to: 0)
        // Fields of a provider's own are nothing to its callers: cookies, names, other receipts.
        var fields = HTTPFields()
        if let type = head.fields.firstValue(named: "content-type") {
            fields.append("Content-Type", type)
        }
        addFields(&fields)
        addFraming(head.framing, &fields)
        return .pass(
            ResponseHead.own(status: 200, fields: fields, framing: head.framing),
            isStreaming ? .rewrite : .watch)
    }

    private func addFraming(_ framing: BodyFraming, _ fields: inout HTTPFields) {
        switch framing {
        case .chunked: fields.append("Transfer-Encoding", "chunked")
        case .length(let length): fields.append("Content-Length", String(length))
        case .none, .untilClose: break
        }
    }

    private func addFields(_ fields: inout HTTPFields) {
        fields.append("X-Request-Id", request.id)
        fields.append("X-Generation-Id", request.id)
        fields.append("X-Ratel-Receipt-Id", request.id)
        if let chosen { fields.append("X-Ratel-Provider", chosen.provider.name) }
        fields.append("Cache-Control", "no-cache, no-transform")
        if isStreaming || request.isStream { fields.append("X-Accel-Buffering", "no") }
    }

    private func error(_ head: ResponseHead) -> ResponseHead {
        var fields = HTTPFields()
        fields.append("Content-Type", "application/json")
        addFields(&fields)
        addFraming(head.framing, &fields)
        if let wait = head.fields.firstValue(named: "retry-after") {
            fields.append("Retry-After", wait)
        }
        return ResponseHead.own(status: head.status, fields: fields, framing: head.framing)
    }

    override var announcement: ResponseHead? {
        guard request.isStream else { return nil }
        var fields = HTTPFields()
        fields.append("Content-Type", "text/event-stream; charset=utf-8")
        addFields(&fields)
        fields.append("Transfer-Encoding", "chunked")
        return ResponseHead.streaming(fields)
    }

    override var heartbeat: [UInt8]? {
        request.isStream && isAtBoundary ? Array(": waiting\n\n".utf8) : nil
    }

    // MARK: Content

    override func event(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Verdict {
        guard !isError else {
            if errorBody.count + range.count <= RouterTap.maxError {
                errorBody.append(copying: bytes.extracting(range))
            }
            return .drop
        }
        chain.append(bytes.extracting(range))
        if let count = shape.count(bytes, range) {
            note(text: count)
        } else {
            read(bytes, range)
        }
        return .keep
    }

    private func read(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        let reading = EventReading(bytes, range)
        if reading.isTerminator(bytes, of: request.path) { isTerminated = true }
        if reading.error != nil { hasOwnError = true }
        guard let text = reading.text(bytes, of: request.path) else { return }
        note(text: text.count)
        if text.strings == 1, !isTerminated, !hasOwnError {
            shape.learn(bytes, range, text: text.last)
        }
    }

    private func note(text count: Int64) {
        guard count > 0 else { return }
        chunks += 1
        contentBytes += count
        noteToken(readAt)
    }

    private func noteToken(_ time: UInt64) {
        lastAt = time
        if firstAt == 0 { firstAt = time }
    }

    override func watch(_ content: Span<UInt8>) {
        guard isServing, !content.isEmpty else { return }
        noteToken(System.uptime)
        chain.cover(content)
        // As much of it as its text is looked for in; embeddings have none.
        guard request.path != .embeddings, whole.count + content.count <= EventTap.maxEvent * 8
        else { return }
        whole.append(copying: content)
    }

    // MARK: The end

    override func complete(trailers: inout [UInt8]) -> [UInt8] {
        let signed = RouterTap.statement(in: trailers)
        trailers = []
        if isError { return MappedError(errorBody + remainder, status: errorStatus).bytes }
        guard isServing else { return [] }
        let rest = remainder
        if !rest.isEmpty { chain.append(rest.span) }
        isWhole = true
        if !isStreaming {
            chain.end()
            contentBytes = ContentMeter.text(whole.span, 0..<whole.count).count
            chunks = contentBytes > 0 ? 1 : 0
            whole = []
        }
        take(signed)
        guard isStreaming, !isTerminated, !hasOwnError else { return rest }
        // Half an event before it would make both unreadable.
        return farewell(.noTerminator) ?? rest
    }

    override func farewell(_ failure: Failure) -> [UInt8]? {
        if isError { return MappedError([], status: errorStatus).bytes }
        guard request.isStream else { return nil }
        hasOwnError = true
        return ErrorEvent(failure, of: request.path, id: request.id).bytes
    }

    /// Facts that are this answer's; whose they are, its entry in the ledger is held to.
    private func take(_ statement: SignedStatement?) {
        guard let statement, let facts = try? ServiceFacts(statement), measured.fits(facts),
            facts.router == site.book.keyDigest
        else { return }
        service = statement
    }

    private static func statement(in trailers: [UInt8]) -> SignedStatement? {
        let name = Array((ServiceTap.trailer + ":").utf8)
        for line in trailers.split(separator: 0x0A) where line.starts(with: name) {
            var value = line.dropFirst(name.count)
            while let first = value.first, first == 0x20 { value.removeFirst() }
            while let last = value.last, last == 0x0D || last == 0x20 { value.removeLast() }
            return try? SignedStatement(.service, reading: JSONParser.parse(Array(value)))
        }
        return nil
    }

    override func finished(_ summary: ExchangeSummary) {
        guard !isOver else { return }
        isOver = true
        let now = System.nowMilliseconds
        let isCallers = summary.failure?.code == "client.left"
        guard isServing, let chosen else {
            if isError || isCallers { settleTicket(.callers) }
            if isError || !isCallers { leave(.failed) }
            return site.settle(pending.failed(at: now), request, nil, nil)
        }
        if let service {
            // What its caller did once all had come is none of its doing.
            settle(service, chosen, isServed: isWhole && !hasOwnError)
        } else if isCallers, isTerminated, !hasOwnError {
            // Nothing was left to come but its facts: with them it counts as any other.
            site.fetchFacts(of: pending, from: chosen, measured, ticket: ticket)
            ticket = nil
        } else {
            settleTicket(isCallers ? .gaveUp(nil) : .failed)
            // It signs what it served, and is asked for that.
            site.fetchFacts(of: pending, from: chosen, measured)
        }
    }

    private func settle(
        _ service: SignedStatement, _ chosen: Market.Chosen, isServed: Bool
    ) {
        do throws(Refusal) {
            let entry = try pending.served(
                service, under: chosen.statement, at: System.nowMilliseconds)
            let answer = measured.answer(entry.receipt.usage)
            settleTicket(isServed ? .served(answer) : hasOwnError ? .failed : .gaveUp(answer))
            site.settle(entry, request, measured, chosen.provider.name)
        } catch {
            settleTicket(.failed)
            site.state.refuseFacts(of: request.id, chosen.provider, error)
            let entry = pending.failed(at: System.nowMilliseconds)
            site.settle(entry, request, nil, chosen.provider.name)
        }
    }

    private func settleTicket(_ outcome: Market.Outcome) {
        if let ticket { site.market.end(ticket, outcome, now: System.nowMilliseconds) }
        ticket = nil
    }

    private var measured: MeasuredAnswer {
        MeasuredAnswer(
            first: firstAt > 0 ? Int64((firstAt - min(firstAt, sentAt)) / 1_000) : 0,
            spread: Int64((lastAt - firstAt) / 1_000), requestBytes: request.requestBytes,
            hasReferences: request.hasReferences, hasTools: request.hasTools,
            maxOutput: request.outputLimit,
            chunks: chunks, contentBytes: contentBytes, request: digest, chainHead: chain.head,
            events: Int64(chain.count), isWhole: isWhole)
    }
}
