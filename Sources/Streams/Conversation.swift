internal import Bytes
internal import HTTP
internal import Loop

/// One caller's connection and the requests on it, one after the other, each with its upstream.
///
/// The request flows `clientDidReceive` → `relayRequest` → upstream; the answer flows
/// `upstreamDidReceive` → `relayAnswer` → caller. Either side that cannot take more pauses the
/// other, so at most one buffer waits per direction.
final class Conversation {
    /// Where the connection stands between two requests.
    enum Stage {
        /// Waiting for, or collecting, a request head.
        case head
        /// The request waits for its upstream.
        case connecting
        /// The body's beginning is read for where the request goes.
        case inspecting
        /// The whole body is read, to be answered here.
        case collecting
        /// The answer is made here, and not ready.
        case answering
        /// Request and answer are under way.
        case exchanging
        /// The last answer is sent; the caller has a moment to read it.
        case closing
        case closed

        /// Whether a request is under way.
        var isBetweenHeads: Bool {
            switch self {
            case .connecting, .inspecting, .collecting, .answering, .exchanging: true
            case .head, .closing, .closed: false
            }
        }
    }

    // First what a token touches, side by side: with thousands of streams each line of memory is
    // read from afar.
    let caller: CallerSide
    let metrics: StreamMetrics
    /// The loop's time when a byte last moved.
    var lastProgress: UInt64
    var answer = AnswerProgress()
    /// Bytes of the upstream that are not used yet: a partial head, or a body that waits.
    var answerHeld: Buffer?
    /// What stands on the answer's way; `lentTap` is the same, uncounted.
    var answerTap: AnswerTap? {
        didSet { lentTap = answerTap.map { Borrowed($0) } }
    }
    private(set) var lentTap: Borrowed<AnswerTap>?
    /// When a silent answer was last given a sign of life.
    var lastBeat: UInt64 = 0
    /// `upstream`, uncounted: that keeps it alive.
    private(set) var lent: LentUpstream?
    var stage = Stage.head

    let handler: any RequestHandler
    var budgets: Budgets
    let limits: HTTPLimits
    var upstream: UpstreamSide? {
        didSet { lent = upstream.map { LentUpstream($0) } }
    }
    /// Where the present request goes, for a second try.
    var lastPool: UpstreamPool?
    var request = RequestProgress()
    var inspection: BodyInspection?
    /// What the present request waits for, where it is answered here in time.
    var reply: LocalReply? {
        didSet { oldValue?.end() }
    }
    /// Bytes of the caller that are not used yet: a partial head, or a body that waits.
    var held: Buffer?
    /// Of an answer whose pieces wait for the loop's ticks; `lentTick` is the same, uncounted.
    var tick: AnswerTick? {
        didSet { lentTick = tick.map { Borrowed($0) } }
    }
    private(set) var lentTick: Borrowed<AnswerTick>?
    var isDraining = false
    /// No request follows the present one.
    var closesSoon: Bool { isDraining || caller.remainingLife == 0 }
    /// The caller closed its sending side; the answer still goes out.
    var clientEnded = false
    private var timer: LoopTimer?
    private var isAdvancing = false

    init(caller: CallerSide, handler: any RequestHandler) {
        self.caller = caller
        self.handler = handler
        budgets = caller.service.budgets
        limits = caller.service.limits
        metrics = caller.service.metrics
        lastProgress = caller.now
    }

    func begin() {
        timer = LoopTimer(on: caller.loop) { [unowned self] in self.checkBudget() }
        watch()
    }

    // MARK: The caller

    func clientDidReceive(_ buffer: consuming Buffer) {
        switch stage {
        case .exchanging where !request.isComplete && held == nil:
            relayRequest(buffer)
        case .head:
            collectHead(buffer)
        case .inspecting:
            inspectRequest(buffer)
        case .collecting:
            collectRequest(buffer)
        case .connecting, .answering, .exchanging:
            // The next request, or a body whose upstream is not ready. It waits; so does the
            // caller, so that there is never a second one.
            guard held == nil else { return abort(.clientLeft) }
            held = consume buffer
            caller.pause()
        case .closing, .closed:
            break
        }
    }

    func clientDidEnd() {
        switch stage {
        case .head, .closing, .closed:
            caller.end(nil)
        case .connecting, .inspecting, .collecting, .answering, .exchanging:
            guard request.isComplete else { return abort(.clientLeft) }
            // Whether a half-closed caller still wants its answer is the backend's to decide, as
            // it would be without a proxy between: the close is passed on. A stream of HTTP/2 has
            // no such close, and one that goes on would run for callers that are mostly gone.
            if upstream?.isStream == true || answerTap != nil {
                metrics.clientAborts.add(1)
                return abort(.clientLeft)
            }
            clientEnded = true
            if stage == .exchanging { upstream?.finish() }
        }
    }

    func clientDidBecomeWritable() {
        lastProgress = caller.now
        if stage == .head { return advance() }
        if answerTap != nil, !continueTapped() { return }
        if answerHeld != nil { processAnswer() }
        if caller.isWritable { upstream?.resume() }
    }

    /// The link is closing: nothing can be sent any more.
    func clientDidClose(_ error: LinkError?) {
        if stage.isBetweenHeads {
            metrics.clientAborts.add(1)
            finishSummary(error == nil ? nil : .clientLeft)
        }
        stage = .closed
        reply = nil
        timer?.close()
        timer = nil
        held = nil
        answerHeld = nil
        tick?.end()
        tick = nil
        answerTap = nil
        let link = upstream
        upstream = nil
        link?.discard()
    }

    /// The caller's admission was ended before its time: no request begins, the first one included.
    func expire() {
        if stage == .head { closeGently() }
    }

    func drain() {
        isDraining = true
        if stage == .head && held == nil { closeGently() }
    }

    // MARK: Heads

    private func collectHead(_ buffer: consuming Buffer) {
        guard var collected = held.take() else {
            held = consume buffer
            advance()
            // The head's budget runs from its first byte, not from its last.
            if stage == .head, held != nil { watch() }
            return
        }
        collected.compact()
        let taken = collected.append(buffer.bytes)
        buffer.consume(taken)
        held = consume collected
        advance()
        guard !buffer.isEmpty, stage != .closed, stage != .closing else { return }
        // The head is complete and shorter than what was collected, so the rest fits now.
        guard var rest = held.take() else {
            return clientDidReceive(buffer)
        }
        rest.compact()
        let fits = rest.append(buffer.bytes) == buffer.count
        held = consume rest
        if !fits { abort(.clientLeft) }
    }

    /// Takes requests off the bytes held, until one is under way or more bytes are needed.
    func advance() {
        guard !isAdvancing else { return }
        isAdvancing = true
        defer { isAdvancing = false }
        // A caller that does not read its answers gets no further request in.
        while stage == .head, caller.isWritable, let buffer = held.take() {
            guard takeHead(buffer) else { break }
        }
        guard stage == .head else { return }
        if caller.isWritable || held == nil { caller.resume() } else { caller.pause() }
    }

    private func takeHead(_ bytes: consuming Buffer) -> Bool {
        var buffer = bytes
        do {
            guard let parsed = try RequestHead.parse(buffer.bytes, limits: limits) else {
                held = consume buffer
                return false
            }
            buffer.consume(parsed.consumed)
            if !buffer.isEmpty { held = consume buffer }
            beginRequest(parsed.head)
            return true
        } catch {
            request = RequestProgress()
            request.wantsClose = true
            request.started = caller.now
            fail(Failure(error))
            return true
        }
    }

    private func beginRequest(_ head: RequestHead) {
        request = RequestProgress(head, now: caller.now)
        answer = AnswerProgress()
        inspection = nil
        answerTap = nil
        metrics.requests.add(1)
        metrics.openStreams.add(1)
        request.isCounted = true
        perform(handler.handle(head), expectsContinue: head.expectsContinue)
    }

    func perform(_ disposition: Disposition, expectsContinue: Bool = false) {
        switch disposition {
        case .respond(let failure):
            fail(failure)
        case .answer(let status, let contentType, let body, let fields):
            respond(status: status, contentType: contentType, body: body, fields: fields)
        case .findModel(let limit):
            beginInspection(limit: limit, expectsContinue: expectsContinue)
        case .collect(let limit):
            beginCollecting(limit: limit, expectsContinue: expectsContinue)
        case .forward(let forwarded, let pool):
            request.forwarded = forwarded
            request.maximumBody = handler.maximumBody
            if let own = handler.ownBudgets { budgets = own }
            guard endInspection() else { return }
            stage = .connecting
            caller.pause()
            watch()
            lastPool = pool
            pool.acquire(for: self)
        }
    }

    // MARK: Budgets

    /// Starts the budget of the present stage anew.
    func watch() {
        lastProgress = caller.now
        guard let limit = budget else {
            timer?.stop()
            return
        }
        timer?.start(after: min(limit, untilCut, untilBeat))
    }

    /// Milliseconds until the admission of either side is over for good; a token does not ask.
    private var untilCut: UInt64 {
        guard stage == .exchanging else { return .max }
        let end = min(caller.cutsAt ?? .max, upstream?.cutsAt ?? .max)
        guard end < .max else { return .max }
        return end > caller.now ? end - caller.now : 0
    }

    private var budget: UInt64? {
        switch stage {
        case .head where held == nil:
            // The first request is what the caller was admitted for, however short its admission.
            answer.isHeadSent ? min(budgets.idle, caller.remainingLife) : budgets.idle
        case .head: caller.isWritable ? budgets.requestHead : budgets.gap
        case .connecting, .closed: nil
        case .inspecting: budgets.requestGap
        case .collecting: budgets.collected
        case .answering: budgets.handshake
        case .exchanging:
            if !request.isComplete {
                budgets.requestGap
            } else if answer.isHeadSent {
                budgets.gap
            } else {
                budgets.firstByte
            }
        case .closing: budgets.linger
        }
    }

    private func checkBudget() {
        guard let limit = budget else { return }
        let left = untilCut
        if left == 0 { return abort(.admissionOver) }
        if stage == .closing, caller.isWriting, caller.now - lastProgress < budgets.gap {
            // A slow reader is still taking its answer.
            timer?.start(after: limit)
            return
        }
        // Progress does not touch the timer; it only moves the time that this compares with.
        // A body that is collected has one time for all its pieces.
        let waited = caller.now - (stage == .collecting ? request.started : lastProgress)
        if waited < limit {
            beatIfSilent()
            timer?.start(after: min(limit - waited, left, untilBeat))
            return
        }
        switch stage {
        case .head where held == nil: closeGently()
        case .head: fail(.slowHead)
        case .inspecting: fail(.slowBody)
        case .collecting: fail(.slowCollection(limit))
        case .answering: fail(.slowReply(budgets.handshake))
        case .exchanging where !request.isComplete && !answer.isHeadSent: fail(.slowBody)
        case .exchanging where !answer.isHeadSent: failUpstream(.slowUpstream(budgets.firstByte))
        case .exchanging where answer.ending != nil: abort(.stalled(budgets.gap))
        case .exchanging: cutAnswer(.stalled(budgets.gap))
        // A reader that took nothing for long gets no more: its stream would keep its buffers.
        case .closing: caller.end(caller.isWriting ? .socket(.timedOut) : nil)
        case .connecting, .closed: break
        }
    }
}
