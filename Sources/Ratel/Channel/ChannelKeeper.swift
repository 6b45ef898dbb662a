internal import Appraisal
internal import Loop
internal import RATLS
internal import RATS
internal import Streams

/// Keeps one open HTTP/2 connection attested: asks the peer again when its result is old, and
/// answers the peer's own challenges (`protocol.md`, Long connections).
final class ChannelKeeper: AdmissionKeeper, ExchangeRun.Owner {
    private let channel: Channel
    private let facts: ChannelFacts
    /// Those of the opening exchange.
    private let counts: ChallengeCounts
    /// What is known of the peer, with the challenges that were answered on the connection.
    private let caller: AdmittedCaller
    /// Whether a challenge of the peer's is being answered here, and not at the endpoint.
    private var isAnswering = false
    private var maxAge: UInt64 = 0
    /// When the present term is over, on the loop's clock; a link may be expired before.
    private var endsAt: UInt64 = 0
    /// Made for the first challenge of either side.
    private var run: ExchangeRun?
    private var timer: LoopTimer?
    private var phase = Phase.resting

    private enum Phase {
        /// Until the peer is asked again.
        case resting
        /// The peer was asked; the timer ends what it does not answer.
        case asking
        /// The peer is no longer what was admitted: its last streams end.
        case leaving
        case over
    }

    init(
        _ channel: Channel, _ facts: ChannelFacts, counts: ChallengeCounts,
        caller: AdmittedCaller
    ) {
        self.channel = channel
        self.facts = facts
        self.counts = counts
        self.caller = caller
    }

    private(set) var renews = false

    /// Asks again when the term says so.
    func keep(_ term: AdmissionTerm, on link: Link) {
        guard let renewsAt = term.renewsAt, phase != .over else { return }
        renews = true
        maxAge = term.maxAge
        endsAt = term.endsAt
        phase = .resting
        (timer ?? makeTimer(link)).start(after: renewsAt > link.now ? renewsAt - link.now : 1)
    }

    private func makeTimer(_ link: Link) -> LoopTimer {
        let made = LoopTimer(on: link.loop) { [unowned self, unowned link] in self.act(link) }
        timer = made
        return made
    }

    func linkDidClose(_ link: Link) {
        phase = .over
        timer?.close()
        timer = nil
        run?.end()
        run = nil
    }

    func receive(_ bytes: [UInt8], on link: Link) {
        guard phase != .over else { return }
        let run = ready(on: link)
        // The endpoint may have answered some since.
        if !run.exchange.isAnswering { run.exchange.counts.answered = caller.challenges.next }
        run.receive(bytes, on: link)
    }

    /// Keeps the number of the next challenge where the endpoint finds it. One is answered at a
    /// time, whichever way it comes, since they share their numbers.
    func exchangeDidProceed(on link: Link) {
        guard let run, run.exchange.isAnswering != isAnswering else { return }
        isAnswering.toggle()
        if !isAnswering { return caller.challenges.end(isAnswered: true) }
        if caller.challenges.begin() == nil { end(.overlapping, link) }
    }

    private func ready(on link: Link) -> ExchangeRun {
        if let run {
            // What is asked and shown may have changed since.
            if run.exchange.isIdle { run.exchange.settings = channel.settings }
            return run
        }
        let run = ExchangeRun(
            Exchange(
                settings: channel.settings, channel: facts, purpose: .renewing, counts: counts,
                moment: .now),
            of: channel, origin: channel.origin(of: facts), owner: self)
        self.run = run
        return run
    }

    private func act(_ link: Link) {
        switch phase {
        case .resting: ask(link)
        case .asking: end(.notRenewed, link)
        case .leaving:
            phase = .over
            // Streams that are cut say no more than that.
            channel.refused(link, .streamsTooLong)
            link.endAdmission(.streamsTooLong, afterStreams: false)
        case .over: break
        }
    }

    private func ask(_ link: Link) {
        let run = ready(on: link)
        // A result that another connection to the same peer brought is as good while it is young:
        // what has not twice the shortest term left would have to be renewed again at once.
        let asks = channel.settings.asks
        let leases = run.leases(for: asks, least: 2 * AdmissionTerm.shortestRenewal)
        let challenge = run.exchange.ask(asks, at: .now, leases: leases)
        phase = .asking
        let left = endsAt > link.now ? endsAt - link.now : 0
        timer?.start(after: max(1, min(left, AdmissionTerm.grace)))
        link.sendControl(challenge)
        run.proceed(link)
    }

    // MARK: The exchange

    func exchangeSends(_ bytes: [UInt8], on link: Link) { link.sendControl(bytes) }

    func exchangeDidSettle(on link: Link) {
        guard let run else { return }
        let admitted = run.exchange.admit()
        guard admitted.policyDigest == channel.policy.digest else {
            return end(.policyReplaced, link)
        }
        guard case .attested(let result) = admitted.standing, result.peer == caller.name else {
            return end(.changed(from: caller.name, to: admitted.name), link)
        }
        channel.log.renewals.addShared(1)
        if admitted.wasLeased { channel.log.leases.addShared(1) }
        let term = AdmissionTerm(
            result, askedAt: admitted.askedAt, isRenewable: true, cutsAnswers: true,
            now: link.now)
        link.expiresAt = term.endsAt
        keep(term, on: link)
    }

    func exchangeWasRefused(_ refusal: Refusal, on link: Link) { end(refusal, link) }

    private func end(_ refusal: Refusal, _ link: Link) {
        guard phase != .over, phase != .leaving else { return }
        let failure = Failure(refusal, role: channel.role)
        channel.refused(link, failure)
        let left = endsAt > link.now ? endsAt - link.now : 0
        let patience = AdmissionTerm.patience(
            after: refusal, channel.policy.onChange, wasAsked: phase == .asking, maxAge: maxAge,
            left: renews ? left : .max)
        guard let patience else {
            phase = .over
            return link.endAdmission(failure, afterStreams: false)
        }
        phase = .leaving
        let timer = timer ?? makeTimer(link)
        timer.start(after: max(1, patience))
        link.endAdmission(failure, afterStreams: true)
    }
}

extension Refusal {
    fileprivate static let overlapping = Refusal(
        "exchange.challenge.overlapping", .exchange, field: "challenge",
        expected: "one at a time on a connection", got: "a second while the first is answered",
        remedy: "wait for the answer of the well-known endpoint before asking again")

    fileprivate static let notRenewed = Refusal(
        "admission.not_renewed", .exchange, field: "Evidence of an open connection",
        expected: "an answer within 10 s of the challenge", got: "none",
        remedy: "see whether the peer's attester is busy or hangs")

    fileprivate static func changed(from old: String, to new: String) -> Refusal {
        Refusal(
            "admission.changed", .policy, field: "peer of an open connection",
            expected: old, got: new,
            remedy: "connect again: the peer is admitted by another part of the policy now")
    }
}

extension Failure {
    fileprivate static let streamsTooLong = Failure(
        status: 502, code: "admission.streams_too_long",
        message: "streams went on after the peer had changed", stage: "attestation",
        field: "streams of an open connection", expected: "their end within one more max_age",
        got: "streams that go on", remedy: "see the refusal of the peer that came before")
}
