internal import Keys
internal import Ledger
internal import Logging
internal import Loop
internal import RATS
internal import Receipts
internal import Streams

/// Asks providers for the facts of requests whose answers did not bring them: those that callers
/// gave up, those that broke off, and those that a crash left; on the main loop.
final class FactsFetcher {
    private let router: RouterState
    private let loop: EventLoop
    private var waiting: [(question: FactsQuestion, tries: Int)] = []
    private var links: [ObjectIdentifier: ProviderLink] = [:]
    private var timers: [LoopTimer] = []
    private var isClosed = false

    /// Times that a provider is asked, a second apart: it signs as soon as its engine has stopped.
    private static let maxTries = 10
    /// Facts that wait to be asked for; beyond it they are billed by the next start's look.
    private static let maxWaiting = 65_536

    init(_ router: RouterState, on loop: EventLoop) {
        self.router = router
        self.loop = loop
    }

    func close() {
        isClosed = true
        for link in links.values { link.abandon() }
        links = [:]
        for timer in timers { timer.close() }
        timers = []
    }

    func ask(_ question: FactsQuestion) {
        guard !isClosed, waiting.count < FactsFetcher.maxWaiting else {
            return settle(question.ticket, .gaveUp(nil))
        }
        waiting.append((question, 0))
        work(question.provider)
    }

    /// One link to each provider, which asks for one after the other.
    private func work(_ provider: Provider) {
        let key = ObjectIdentifier(provider)
        guard links[key] == nil, waiting.contains(where: { $0.question.provider === provider })
        else { return }
        ProviderLink.open(to: provider, on: loop) { [weak self] outcome in
            guard let self, !self.isClosed else { return }
            switch outcome {
            case .success(let link):
                self.links[key] = link
                self.askNext(link, provider)
            case .failure: self.again(provider)
            }
        }
    }

    private func askNext(_ link: ProviderLink, _ provider: Provider) {
        guard let index = waiting.firstIndex(where: { $0.question.provider === provider }) else {
            links[ObjectIdentifier(provider)] = nil
            return link.abandon()
        }
        let (question, tries) = waiting.remove(at: index)
        link.ask("GET", WellKnownPath.receipts + question.pending.id, within: 10_000) {
            [weak self] outcome in
            guard let self, !self.isClosed else { return }
            switch outcome {
            case .success(let answer) where answer.status == 200: self.settle(question, answer)
            case .success(let answer) where answer.status == 404:
                // It began nothing that it would sign for.
                self.abandon(question)
            case .success, .failure:
                self.retry(question, tries)
                if case .failure = outcome {
                    self.links[ObjectIdentifier(provider)] = nil
                    return
                }
            }
            self.askNext(link, provider)
        }
    }

    private func settle(_ question: FactsQuestion, _ answer: ProviderLink.Answer) {
        do throws(Refusal) {
            let service = try SignedStatement(.service, reading: JSONParser.parse(answer.body))
            let facts = try ServiceFacts(service)
            guard facts.router == router.book.keyDigest else {
                throw Refusal(
                    "provider.facts.router", .evidence, field: "router",
                    expected: "the digest of this router's key",
                    got: Hex.encode(facts.router), remedy: "take facts of this router's requests")
            }
            if let measured = question.measured, !measured.fits(facts) {
                throw Refusal(
                    "provider.facts.other", .evidence, field: "request_hash, stream_chain_head",
                    expected: "those of what was asked and came", got: "others",
                    remedy: "take facts of this answer alone")
            }
            let entry = try question.pending.served(
                service, under: question.offer, at: System.nowMilliseconds)
            if let answer = question.measured?.answer(entry.receipt.usage) {
                settle(question.ticket, .served(answer))
            }
            router.settle(
                entry, model: question.model, question.measured, question.provider.name)
        } catch {
            router.refuseFacts(of: question.pending.id, question.provider, error)
            abandon(question, .failed)
        }
    }

    private func settle(_ ticket: Market.Ticket?, _ outcome: Market.Outcome) {
        if let ticket { router.market.end(ticket, outcome, now: System.nowMilliseconds) }
    }

    private func abandon(_ question: FactsQuestion, _ outcome: Market.Outcome = .gaveUp(nil)) {
        settle(question.ticket, outcome)
        router.settle(
            question.pending.failed(at: System.nowMilliseconds), model: question.model, nil,
            question.provider.name)
    }

    private func retry(_ question: FactsQuestion, _ tries: Int) {
        guard tries < FactsFetcher.maxTries else { return abandon(question) }
        waiting.append((question, tries + 1))
        let timer = LoopTimer(on: loop) { [weak self] in self?.work(question.provider) }
        timers.removeAll { timer in
            if !timer.isRunning { timer.close() }
            return !timer.isRunning
        }
        timer.start(after: 1_000)
        timers.append(timer)
    }

    /// The provider does not answer: everything that waits for it is tried later, or given up.
    private func again(_ provider: Provider) {
        let all = waiting.filter { $0.question.provider === provider }
        waiting.removeAll { $0.question.provider === provider }
        for (question, tries) in all { retry(question, tries) }
    }
}

extension FactsQuestion {
    var model: String { offer.body["model"]?["id"]?.text ?? "" }
}
