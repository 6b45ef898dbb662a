internal import Bytes
internal import HTTP
internal import Keys
internal import Ledger
internal import Loop
internal import Receipts
internal import Streams

/// Stands on the way of one routed answer: sends its request to the next provider while nothing has
/// gone on, holds what comes against what the provider signs, and settles the bill.
final class RouterTap: EventTap {
    private let request: InferenceRequest
    private let site: RouterSite
    private let head: RequestHead
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
    private var whole: [UInt8] = []
    private var service: SignedStatement?
    private var isOver = false

    // What is measured.
    private var sentAt: UInt64 = 0
    private var firstAt: UInt64 = 0
    private var lastAt: UInt64 = 0
    private var chunks: Int64 = 0
    private var contentBytes: Int64 = 0

    /// `head` is the request's, ready for any provider.
    init(_ request: InferenceRequest, _ head: RequestHead, at site: RouterSite) {
        self.request = request
        self.head = head
        self.site = site
        attempts = Attempts(
            request.decision, receipt: request.id, seed: request.seed.bytes,
            limit: request.terms.attemptLimit)
        // What it chains is what came: the whole needs no digest of its own.
        chain = RunningChain(request: Digest.sha256(request.body), digestsWhole: false)
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
            policy: site.policyHash, seedCommitment: request.seed.commitment)
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
        site.settle(failedEntry(System.nowMilliseconds), request, nil, nil)
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
        if let ticket {
            site.market.end(
                ticket, outcome == .saturated ? .saturated : .failed,
                now: System.nowMilliseconds)
        }
        ticket = nil
    }

    // MARK: The head

    override func judge(_ head: ResponseHead, isAnnounced: Bool) -> Judgement {
        switch head.status {
        case 200..<300: return serve(head, isAnnounced)
        case 429, 503:
            lastFailure = .provider(head.status)
            if let chosen { site.market.note(chosen.provider, isFull: true) }
            return goOn(.saturated).map { .elsewhere($0) } ?? .refuse(nobody)
        // Not known there, no longer offered, not let in, or failed: another may serve it.
        case 401, 403, 404, 405, 408, 409, 412, 500...:
            lastFailure = .provider(head.status)
            if let chosen, head.status == 412 { site.refresh(chosen.provider) }
            return goOn(.failed).map { .elsewhere($0) } ?? .refuse(nobody)
        default:
            guard !isAnnounced else { return .refuse(.provider(head.status)) }
            isError = true
            errorStatus = head.status
            return .pass(error(head), .rewrite)
        }
    }

    private func serve(_ head: ResponseHead, _ isAnnounced: Bool) -> Judgement {
        isStreaming = head.isEventStream
        guard !isAnnounced || isStreaming else {
            leave(.failed)
            return .refuse(.provider(head.status))
        }
        isServing = true
        var passed = head
        passed.fields.removeAll(named: "server")
        passed.fields.removeAll(named: "trailer")
        addFields(&passed.fields)
        return .pass(passed, isStreaming ? .rewrite : .watch)
    }

    private func addFields(_ fields: inout HTTPFields) {
        for name in ["x-ratel-receipt-id", "x-ratel-provider", "cache-control"] {
            fields.removeAll(named: name)
        }
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
        if head.framing == .chunked { fields.append("Transfer-Encoding", "chunked") }
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
            errorBody += Array(copying: bytes.extracting(range))
            return .drop
        }
        chain.append(bytes.extracting(range))
        let reading = EventReading(bytes, range)
        if reading.isTerminator(bytes, of: request.path) { isTerminated = true }
        if reading.error != nil { hasOwnError = true }
        measure(reading, bytes)
        return .keep
    }

    private func measure(_ reading: EventReading, _ bytes: Span<UInt8>) {
        let place =
            switch request.path {
            case .chat, .completions: reading.choices
            case .messages, .responses: reading.delta
            case .embeddings: Range<Int>?.none
            }
        guard let place else { return }
        // A delta of the responses API is the text itself.
        let isBare = !place.isEmpty && bytes[place.lowerBound] == UInt8(ascii: "\"")
        let count = isBare ? Int64(place.count - 2) : ContentMeter.count(bytes, place)
        guard count > 0 else { return }
        chunks += 1
        contentBytes += count
        noteToken(readAt)
    }

    private func noteToken(_ time: UInt64) {
        lastAt = time
        if firstAt == 0 { firstAt = lastAt }
    }

    override func watch(_ content: Span<UInt8>) {
        guard isServing, !content.isEmpty else { return }
        noteToken(System.uptime)
        chain.cover(content)
        // As much of it as its text is looked for in; embeddings have none.
        guard request.path != .embeddings, whole.count + content.count <= EventTap.maxEvent * 8
        else { return }
        whole += Array(copying: content)
    }

    // MARK: The end

    override func complete(trailers: inout [UInt8]) -> [UInt8] {
        let signed = RouterTap.statement(in: trailers)
        trailers = []
        if isError { return MappedError(errorBody + remainder, status: errorStatus).bytes }
        guard isServing else { return [] }
        let rest = remainder
        if !rest.isEmpty { chain.append(rest.span) }
        if !isStreaming {
            chain.end()
            contentBytes = ContentMeter.count(whole.span, 0..<whole.count)
            chunks = contentBytes > 0 ? 1 : 0
            whole = []
        }
        take(signed)
        guard isStreaming, !isTerminated, !hasOwnError else { return rest }
        return rest + (farewell(.noTerminator) ?? [])
    }

    override func farewell(_ failure: Failure) -> [UInt8]? {
        guard request.isStream else { return nil }
        hasOwnError = true
        return ErrorEvent(failure, of: request.path, id: request.id).bytes
    }

    /// Facts that are this answer's, and signed by who served it.
    private func take(_ statement: SignedStatement?) {
        guard let statement, let chosen, let facts = try? ServiceFacts(statement),
            statement.key == chosen.statement.key, facts.receipt == request.id,
            facts.router == site.book.keyDigest,
            facts.offer == chosen.statement.digest, facts.request == Digest.sha256(request.body),
            facts.chainHead == chain.head, facts.events == Int64(chain.count)
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
            if isError || isCallers { settleTicket(.callers) } else { leave(.failed) }
            if isError { attemptEnded() }
            return site.settle(failedEntry(now), request, nil, nil)
        }
        let isWhole = summary.failure == nil && service != nil && !hasOwnError
        if let service {
            settle(service, chosen, isWhole: isWhole)
        } else {
            settleTicket(isCallers ? .gaveUp(nil) : .failed)
            // It signs what it served, and is asked for that.
            site.fetchFacts(of: pending, from: chosen, measured)
        }
    }

    private func attemptEnded() {
        guard let chosen else { return }
        tried.append(Receipt.Attempt(offer: chosen.statement.digest, outcome: .failed))
        self.chosen = nil
    }

    private func settle(
        _ service: SignedStatement, _ chosen: Market.Chosen, isWhole: Bool
    ) {
        guard let facts = try? ServiceFacts(service) else { return }
        let answer = measured.answer(facts.usage)
        settleTicket(isWhole ? .served(answer) : hasOwnError ? .failed : .gaveUp(answer))
        do {
            let entry = try pending.served(
                service, under: chosen.statement, at: System.nowMilliseconds)
            site.settle(entry, request, measured, chosen.provider.name)
        } catch {
            site.settle(
                failedEntry(System.nowMilliseconds), request, nil, chosen.provider.name)
        }
    }

    private func failedEntry(_ now: Int64) -> Ledger.Entry {
        var left = pending
        left.attempts = tried
        if chosen == nil { (left.offer, left.price) = (nil, nil) }
        return left.failed(at: now)
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
            maxOutput: request.terms.maxOutput,
            chunks: chunks, contentBytes: contentBytes)
    }
}

/// What the router saw of one answer itself.
struct MeasuredAnswer: Sendable {
    /// Microseconds to the first token, and from it to the last.
    let first: Int64
    let spread: Int64
    let requestBytes: Int64
    let hasReferences: Bool
    let hasTools: Bool
    let maxOutput: Int64?
    let chunks: Int64
    let contentBytes: Int64

    /// Beside what the provider counted.
    func answer(_ usage: Usage) -> Reputation.Answer {
        let check = CountCheck(
            requestBytes: requestBytes, hasReferences: hasReferences, maxOutput: maxOutput,
            chunks: chunks, contentBytes: contentBytes, toolCalls: hasTools ? chunks : 0)
        return Reputation.Answer(
            first: first, gap: chunks > 1 ? spread / (chunks - 1) : nil,
            usage: usage, requestBytes: requestBytes, contentBytes: contentBytes,
            counts: check.verdict(on: usage))
    }
}
