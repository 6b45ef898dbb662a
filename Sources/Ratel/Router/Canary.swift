internal import Keys
internal import Ledger
internal import Loop
internal import RATS
internal import Receipts
internal import Streams

/// One request of the router's own to a provider before callers' go there: it must be served as
/// offered, piece by piece, and signed for. It is paid like any other, on the router's account.
final class Canary {
    private let statement: SignedStatement
    private let offer: Offer
    private let provider: Provider
    private let link: ProviderLink
    private let router: RouterState
    private let id = "gen-" + Hex.encode(SecureRandom.bytes(12))
    private var then: ((Refusal?) -> Void)?
    private var pending: Ledger.Pending?
    private var body: [UInt8] = []

    /// Tokens that are asked for: enough that pieces that are held back and sent at once show.
    private static let tokens = 16
    /// What it may count: the question's bytes and a template; as many tokens as were asked for.
    private static let most = Usage(
        input: 512 + CountCheck.templateTokens, cached: 0, output: Int64(tokens), reasoning: 0)
    /// Milliseconds: a cold engine loads kernels for its first request.
    private static let budget: UInt64 = 120_000
    /// A stream that took this long in nanoseconds, and whose pieces all came within a twentieth of
    /// that at its end, was held back.
    private static let telling: UInt64 = 100_000_000
    private static let least: UInt64 = 20

    init(
        _ statement: SignedStatement, _ offer: Offer, of provider: Provider,
        over link: ProviderLink, router: RouterState
    ) {
        self.statement = statement
        self.offer = offer
        self.provider = provider
        self.link = link
        self.router = router
    }

    /// Calls `then` with nil where it was served as it should be.
    func run(then: @escaping (Refusal?) -> Void) {
        self.then = then
        let now = System.nowMilliseconds
        guard let seed = router.book.seed(at: now) else {
            return end("ledger", "a seed of the ledger", "none yet")
        }
        let pending = Ledger.Pending(
            id: id, account: router.book.canary.id,
            reserve: Decision.Measures.cost(
                of: Canary.most, at: offer.price), started: now,
            decision: decision, offer: statement.digest, price: offer.price,
            policy: router.policyHash, seedCommitment: seed.commitment)
        self.pending = pending
        let loop = LoopBound(self)
        let mailbox = link.loop.mailbox
        router.book.desk.run { (ledger) throws(LedgerError) in
            try ledger.begin([pending])
        } then: { outcome in
            mailbox.post {
                switch outcome {
                case .success([.admitted]): loop.value.ask(.chat)
                case .success(let other):
                    loop.value.end("ledger", "the router's own account", "\(other)")
                case .failure(let error): loop.value.end("ledger", "an entry", "\(error)")
                }
            }
        }
    }

    /// There is one to choose from.
    private var decision: Decision {
        let expected = Usage(input: 16, cached: 0, output: Int64(Canary.tokens), reasoning: 0)
        let measures = Decision.Measures(
            cost: Decision.Measures.cost(of: expected, at: offer.price), first: 0, gap: 0,
            success: Decision.Measures.unit, inflation: Decision.Measures.unit, disagreement: 0,
            facts: 0, position: 1)
        return Decision(
            Decision.Request(order: .order, expected: expected, first: 0, gap: 0),
            weighing: [
                Decision.Candidate(
                    offer: statement.digest, weight: 0, reason: "", measures: measures)
            ])
    }

    // MARK: The request

    private func ask(_ path: InferencePath) {
        let question = "Count from one to twenty in words."
        let prompt: (String, JSONValue) =
            switch path {
            case .chat:
                (
                    "messages",
                    .array([
                        .members([("role", .string("user")), ("content", .string(question))])
                    ])
                )
            case .embeddings: ("input", .string(question))
            default: ("prompt", .string(question))
            }
        var members = [("model", .string(offer.model.id)), prompt]
        if path != .embeddings {
            members += [
                ("stream", .bool(true)), ("max_tokens", .integer(Canary.tokens)),
                ("temperature", .integer(0)),
            ]
        }
        body = Array(JSONValue.members(members).serialised().utf8)
        link.ask(
            "POST", path.rawValue, body: body,
            fields: [
                ("x-ratel-receipt-id", id), ("x-ratel-offer", Hex.encode(statement.digest)),
                ("x-ratel-router", Hex.encode(router.book.keyDigest)),
            ],
            within: Canary.budget
        ) { [self] outcome in
            switch outcome {
            case .failure(let trouble): end("answer", "an answer", trouble.why)
            case .success(let answer): take(answer, path)
            }
        }
    }

    private func take(_ answer: ProviderLink.Answer, _ path: InferencePath) {
        guard answer.status == 200 else {
            // Models without a chat template have completions, and others embeddings alone.
            if [400, 404, 405, 501].contains(answer.status) {
                if path == .chat { return ask(.completions) }
                if path == .completions { return ask(.embeddings) }
            }
            return end("status", "200", "\(answer.status)")
        }
        if path != .embeddings {
            guard isTerminated(answer.body, path) else {
                return end("stream", "the event that ends it", "none")
            }
            guard !isHeld(answer) else {
                return end(
                    "stream", "pieces as they are generated", "all of them together at the end",
                    "take what buffers out of the way of the engine's answers")
            }
        }
        askForFacts(answer, tries: 5)
    }

    private func isTerminated(_ body: [UInt8], _ path: InferencePath) -> Bool {
        var boundary = EventBoundary()
        var (start, found) = (0, false)
        while let end = boundary.next(in: body.span, from: start) {
            if EventReading(body.span, start..<end).isTerminator(body.span, of: path) {
                found = true
            }
            start = end
        }
        return found
    }

    private func isHeld(_ answer: ProviderLink.Answer) -> Bool {
        guard let first = answer.reads.first?.at, let last = answer.reads.last?.at else {
            return true
        }
        let whole = last - min(last, answer.began)
        // The head comes at once, whatever is held behind it.
        let body = answer.reads.dropFirst().first?.at ?? first
        return whole > Canary.telling && last - min(last, body) < whole / Canary.least
    }

    // MARK: Its facts

    private func askForFacts(_ answer: ProviderLink.Answer, tries: Int) {
        link.ask("GET", WellKnownPath.receipts + id, within: 10_000) { [self] outcome in
            switch outcome {
            case .failure(let trouble): end("facts", "signed facts", trouble.why)
            case .success(let found) where found.status == 409 && tries > 0:
                askForFacts(answer, tries: tries - 1)
            case .success(let found): settle(found, answer)
            }
        }
    }

    private func settle(_ found: ProviderLink.Answer, _ answer: ProviderLink.Answer) {
        guard found.status == 200, let pending else {
            return end("facts", "signed facts", "status \(found.status)")
        }
        do throws(Refusal) {
            let service = try SignedStatement(.service, reading: JSONParser.parse(found.body))
            let facts = try ServiceFacts(service)
            guard facts.request == Digest.sha256(body), facts.router == router.book.keyDigest,
                facts.response == Digest.sha256(answer.body)
            else {
                return end("facts", "the hashes of what was asked and answered", "others")
            }
            guard facts.usage.output > 0 || facts.usage.input > 0 else {
                return end("facts", "the engine's counts", "none")
            }
            let entry = try pending.served(service, under: statement, at: System.nowMilliseconds)
            self.pending = nil
            router.book.desk.finish(entry) { _ in }
            finish(nil)
        } catch {
            end("facts", error.expected, error.got)
        }
    }

    private func end(
        _ field: String, _ expected: String, _ got: String,
        _ remedy: String = "see what the provider's log says"
    ) {
        if let pending {
            self.pending = nil
            // It may have signed for what it served: then that is written.
            router.fetch(
                FactsQuestion(
                    pending: pending, provider: provider, offer: statement, measured: nil))
        }
        finish(
            Refusal(
                "provider.canary", .exchange, field: "canary \(field) of \(offer.model.id)",
                expected: expected, got: got, remedy: remedy))
    }

    private func finish(_ trouble: Refusal?) {
        let then = then
        self.then = nil
        then?(trouble)
    }
}
