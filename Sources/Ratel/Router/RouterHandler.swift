internal import Bytes
internal import HTTP
internal import Ledger
internal import Loop
internal import Receipts
internal import Streams

/// Serves the API of a router on one connection: OpenAI's paths, and the router's own.
final class RouterHandler: RequestHandler {
    private let service: RouterService
    private let wellKnown: WellKnownEndpoint
    private unowned let connection: Downstream
    private var waiting: Waiting?

    private enum Waiting {
        case inference(RequestHead, InferencePath, RouterBook.Account, BodyRoom)
        case question(RouterQuestion)
    }

    /// Bytes of a request's body, as providers have it.
    private static let maxBody = MeteredHandler.maxBody

    init(service: RouterService, connection: Downstream) {
        self.service = service
        self.connection = connection
        wellKnown = WellKnownEndpoint(channel: service.site.state.front, connection: connection)
    }

    private var site: RouterSite { service.site }

    func handle(_ head: RequestHead) -> Disposition {
        if WellKnownPath.isReserved(head.path) { return wellKnown.disposition(of: head) }
        if let open = OpenPage(head, site.state).disposition { return open }
        guard let account = account(head) else { return .respond(.noKey) }
        if let path = InferencePath(rawValue: head.path) { return infer(head, path, account) }
        guard let question = RouterQuestion(head, account) else { return .respond(.pathUnknown) }
        guard head.method == "GET" || head.method == "HEAD" else {
            return .respond(.methodRefused("GET, HEAD"))
        }
        waiting = .question(question)
        return .collect(within: 0)
    }

    private func account(_ head: RequestHead) -> RouterBook.Account? {
        let values = head.fields.values(named: "authorization")
        // Anthropic's SDK has a field of its own.
        let keys = head.fields.values(named: "x-api-key")
        guard values.count + keys.count == 1 else { return nil }
        if let key = keys.first { return site.book.account(ofKey: key) }
        let parts = values[0].split(separator: " ")
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        return site.book.account(ofKey: String(parts[1]))
    }

    // MARK: Inference

    private func infer(
        _ head: RequestHead, _ path: InferencePath, _ account: RouterBook.Account
    ) -> Disposition {
        guard head.method == "POST" else { return .respond(.methodRefused("POST")) }
        var size = RouterHandler.maxBody
        if case .length(let length) = head.framing {
            guard length <= UInt64(RouterHandler.maxBody) else {
                return .respond(Failure(.bodyTooLarge(UInt64(RouterHandler.maxBody))))
            }
            size = Int(length)
        }
        guard let room = BodyRoom(size, of: account.id, at: site) else {
            return .respond(.bodiesFull)
        }
        waiting = .inference(head, path, account, room)
        return .collect(within: size)
    }

    func answer(_ body: [UInt8], with reply: LocalReply) {
        switch waiting.take() {
        case nil: wellKnown.answer(body, with: reply)
        case .question(let question): question.answer(site.state, on: site.loop, with: reply)
        case .inference(let head, let path, let account, let room):
            room.shrink(to: body.count)
            do throws(Failure) {
                let request = try InferenceRequest(
                    body, path: path, account: account, in: site.market, site.book
                ) { [site] in site.state.areAllAsked }
                try RouterHandler.reserve(
                    request, forwarded(head, path), room, reply, site, isSecond: false)
            } catch {
                reply.refuse(error)
            }
        }
    }

    /// Has what the request may cost reserved, and sends it on.
    private static func reserve(
        _ request: InferenceRequest, _ head: RequestHead, _ room: BodyRoom, _ reply: LocalReply,
        _ site: RouterSite, isSecond: Bool
    ) throws(Failure) {
        let tap = RouterTap(request, head, room, at: site)
        guard let way = tap.next() else { throw tap.nobody }
        let bound = LoopBound((tap, reply, way, head, room, site))
        let mailbox = site.loop.mailbox
        site.book.desk.begin(tap.pending) { outcome in
            mailbox.post {
                let (tap, reply, way, head, room, site) = bound.value
                switch outcome {
                case .success(.admitted):
                    guard reply.presence.isThere else { return tap.giveUp() }
                    reply.forward(way, body: request.body, tap: tap)
                case .success(.refused(let available)):
                    tap.neverBegan()
                    // Once: what is left may be less by then.
                    guard !isSecond, let less = request.within(available) else {
                        return reply.refuse(.noCredit)
                    }
                    do throws(Failure) {
                        try reserve(less, head, room, reply, site, isSecond: true)
                    } catch {
                        reply.refuse(error)
                    }
                case .success(.unknown):
                    tap.neverBegan()
                    reply.refuse(.noCredit)
                case .success(.over), .failure:
                    tap.neverBegan()
                    reply.refuse(.ledgerUnavailable)
                }
            }
        }
    }

    /// What a provider may know of the request: what it asks, and nothing of who asks. Every other
    /// field may name a caller, or its key.
    private func forwarded(_ head: RequestHead, _ path: InferencePath) -> RequestHead {
        var result = RequestHead(method: "POST", target: path.rawValue, host: "provider")
        for name in RouterHandler.passed {
            for value in head.fields.values(named: name) { result.fields.append(name, value) }
        }
        return result
    }

    private static let passed = [
        "content-type", "accept", "anthropic-version", "anthropic-beta", "openai-beta",
    ]

    var sendsAtTicks: Bool { service.settings.padding == .tick }

    func finished(_ summary: ExchangeSummary) {
        waiting = nil
        site.state.log.finished(summary)
    }
}

extension Failure {
    fileprivate static let bodiesFull = Failure(
        status: 503, code: "overloaded", message: "too many requests are being read",
        stage: "request", field: "bodies",
        expected: "at most 256 MiB of them on a worker, and 64 of one account", got: "more",
        remedy: "try again soon", retryAfter: 1)
}
