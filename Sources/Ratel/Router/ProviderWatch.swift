internal import Appraisal
internal import Keys
internal import Ledger
internal import Logging
internal import Loop
internal import RATLS
internal import RATS
internal import Receipts
internal import Streams

/// Admits one provider and asks it again and again, on the main loop: its Evidence first, then its
/// offers, then whether it serves as it says. No caller waits for any of it.
final class ProviderWatch {
    private let provider: Provider
    private let router: RouterState
    private let loop: EventLoop
    private var timer: LoopTimer?
    private var link: ProviderLink?
    private var isBusy = false
    private var isAskedAgain = false
    /// The period and the session of the Evidence that the ledger was given last.
    private var kept: Kept?

    private struct Kept: Equatable, Sendable {
        let period: Int64
        let session: String
    }
    /// Models that were probed, under the key that the provider had then.
    private var probed: (key: [UInt8], models: Set<String>) = ([], [])
    /// What a probe came to that failed, and when the next may be: each is paid for.
    private var lastProbe: (refusal: Refusal, next: UInt64, wait: UInt64)?

    /// Milliseconds after a probe that failed, twice as many each time, up to this.
    private static let maxWait: UInt64 = 600_000
    /// Milliseconds until a ledger that failed is tried again: soon, as its own next try is.
    private static let again: UInt64 = 1_000

    init(_ provider: Provider, _ router: RouterState, on loop: EventLoop) {
        self.provider = provider
        self.router = router
        self.loop = loop
        let timer = LoopTimer(on: loop) { [unowned self] in self.ask() }
        timer.start(after: 1, every: router.challengePeriod(of: provider))
        timer.detach()
        self.timer = timer
    }

    func close() {
        timer?.close()
        timer = nil
        link?.abandon()
        link = nil
    }

    /// Asks now, or once more after what is under way.
    func ask() {
        guard timer != nil else { return }
        guard !isBusy else {
            isAskedAgain = true
            return
        }
        isBusy = true
        // Fresh Evidence each time, and no lease of the time before.
        provider.control.forget()
        ProviderLink.open(to: provider, on: loop) { [weak self] outcome in
            guard let self, self.timer != nil else { return }
            switch outcome {
            case .success(let link): self.begin(link)
            case .failure(let trouble): self.end(trouble)
            }
        }
    }

    private func begin(_ link: ProviderLink) {
        self.link = link
        let now = System.nowMilliseconds
        guard let peer = link.peer as? AdmittedCaller, let result = peer.result,
            let evidence = peer.evidence,
            let admission = Provider.Admission(result, evidence, now: now)
        else {
            return refuse(
                Refusal(
                    "provider.receipts.none", .policy, field: "receipt_key",
                    expected: "a provider that signs offers and receipts", got: "none",
                    remedy: "run `ratel serve --offers FILE` there"))
        }
        link.ask("GET", WellKnownPath.offers, within: 10_000) { [weak self] outcome in
            guard let self else { return }
            switch outcome {
            case .failure(let trouble): self.end(trouble)
            case .success(let answer): self.take(answer, admission)
            }
        }
    }

    // MARK: Offers

    private func take(_ answer: ProviderLink.Answer, _ admission: Provider.Admission) {
        do throws(Refusal) {
            let listed = try ListedOffers(
                answer.body, status: answer.status, signedBy: admission.receiptKey
            ).all
            if probed.key != admission.receiptKey {
                probed = (admission.receiptKey, [])
                lastProbe = nil
            }
            keep(listed.map(\.statement), admission) { [weak self] in
                self?.admit(listed, admission, isFull: ProviderWatch.isFull(answer))
            }
        } catch {
            refuse(error)
        }
    }

    /// Writes down what an auditor has to find before anything is asked for under it.
    private func keep(
        _ statements: [SignedStatement], _ admission: Provider.Admission,
        then completion: @escaping () -> Void
    ) {
        // Each period's export shows what its providers were admitted by.
        let now = Kept(
            period: admission.appraised / router.book.period, session: admission.session)
        let isKept = kept == now
        let (bound, mailbox) = (LoopBound((watch: self, completion: completion)), loop.mailbox)
        router.book.desk.run { (ledger) throws(LedgerError) in
            for statement in statements { try ledger.keep(statement) }
            guard !isKept else { return }
            try ledger.keep(
                evidence: admission.evidence.json.serialised(), of: admission.receiptKey,
                session: admission.session, at: admission.appraised)
        } then: { outcome in
            mailbox.post {
                let (watch, completion) = bound.value
                guard watch.timer != nil else { return }
                switch outcome {
                case .success:
                    watch.kept = now
                    completion()
                case .failure(let error): watch.end(error)
                }
            }
        }
    }

    private func end(_ error: LedgerError) {
        router.logger.error("offers and Evidence were not kept", metadata: ["why": "\(error)"])
        timer?.start(after: ProviderWatch.again, every: router.challengePeriod(of: provider))
        done()
    }

    private func admit(
        _ listed: [ListedOffers.Listed], _ admission: Provider.Admission, isFull: Bool
    ) {
        probe(listed.filter { !probed.models.contains($0.offer.model.id) && $0.offer.isOpen }) {
            [weak self] trouble in
            guard let self else { return }
            if let trouble { return self.refuse(trouble) }
            self.enter(listed, admission, isFull: isFull)
        }
    }

    private static func isFull(_ answer: ProviderLink.Answer) -> Bool {
        JSONParser.parse(answer.body)?["is_full"] == .bool(true)
    }

    private func probe(_ models: [ListedOffers.Listed], then: @escaping (Refusal?) -> Void) {
        guard let first = models.first, let link else {
            lastProbe = nil
            return then(nil)
        }
        if let lastProbe, System.uptimeMilliseconds < lastProbe.next {
            return then(lastProbe.refusal)
        }
        let canary = Canary(
            first.statement, first.offer, of: provider, over: link, router: router)
        canary.run { [weak self] trouble in
            guard let self else { return }
            if let trouble {
                self.note(trouble)
                return then(trouble)
            }
            self.probed.models.insert(first.offer.model.id)
            self.probe(Array(models.dropFirst()), then: then)
        }
    }

    private func note(_ trouble: Refusal) {
        let wait = min(
            ProviderWatch.maxWait,
            lastProbe.map { $0.wait * 2 } ?? router.challengePeriod(of: provider))
        lastProbe = (trouble, System.uptimeMilliseconds + wait, wait)
    }

    // MARK: Ends

    private func enter(
        _ listed: [ListedOffers.Listed], _ admission: Provider.Admission, isFull: Bool
    ) {
        let before = provider.now
        provider.admit(admission)
        for one in listed {
            router.market.put(
                one.statement, one.offer, of: provider, context: one.context,
                parameters: one.parameters,
                attestation: ProviderRecord.Attestation(
                    session: admission.session, claims: admission.claims,
                    appraised: admission.appraised, admittedUntil: admission.until))
        }
        router.market.keep(Set(listed.map(\.offer.model.id)), of: provider)
        router.market.note(provider, isFull: isFull)
        if before.admission?.session != admission.session || before.trouble != nil {
            router.logger.notice(
                "provider admitted",
                metadata: [
                    "provider": "\(provider.name)", "peer": "\(admission.peer)",
                    "session": "\(admission.session)", "models": "\(listed.count)",
                ])
        }
        done()
    }

    /// There was no answer: that says nothing of its Evidence, unless that was refused.
    private func end(_ trouble: ProviderLink.Trouble) {
        if let failure = trouble.refusal, failure.stage != "connect", failure.stage != "request" {
            return refuse(
                Refusal(
                    failure.code, .policy, field: failure.field ?? "Evidence",
                    expected: failure.expected ?? "", got: failure.got ?? trouble.why,
                    remedy: failure.remedy ?? ""))
        }
        router.market.note(provider, isFull: true)
        if let until = provider.now.admission?.until, until > System.nowMilliseconds {
            router.logger.warning(
                "provider does not answer",
                metadata: ["provider": "\(provider.name)", "why": "\(trouble.why)"])
            return done()
        }
        refuse(
            Refusal(
                "provider.unreachable", .exchange, field: provider.address.description,
                expected: "an answer", got: trouble.why,
                remedy: "check that it runs and that the address is right"))
    }

    private func refuse(_ refusal: Refusal) {
        let before = provider.now
        provider.refuse(refusal)
        router.market.withdraw(provider)
        router.expireAdmissions(of: provider)
        if before.trouble?.code != refusal.code {
            router.logger.warning(
                "provider refused",
                metadata: [
                    "provider": "\(provider.name)", "code": "\(refusal.code)",
                    "field": "\(refusal.field)", "expected": "\(refusal.expected)",
                    "got": "\(refusal.got)", "remedy": "\(refusal.remedy)",
                ])
        }
        done()
    }

    private func done() {
        link?.abandon()
        link = nil
        isBusy = false
        guard isAskedAgain else { return }
        isAskedAgain = false
        ask()
    }
}
