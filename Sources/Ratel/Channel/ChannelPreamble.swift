internal import Appraisal
internal import Loop
internal import RATLS
internal import RATS
internal import Streams
internal import TLS

/// Runs the attestation exchange over one link and opens the link with what it earned.
final class ChannelPreamble: Preamble, ExchangeRun.Owner {
    private let channel: Channel
    private var run: ExchangeRun?
    private var facts: ChannelFacts?
    /// What a server of another system says, in place of an exchange.
    private var foreign: ForeignServer?
    /// When such a server was asked, in milliseconds since boot.
    private var began: UInt64 = 0
    private var isOver = false
    /// Keeps a refused connection a moment, so that the peer can read why.
    private var linger: LoopTimer?

    init(_ channel: Channel) {
        self.channel = channel
    }

    func begin(_ link: Link, handshake: Handshake) {
        channel.log.handshakes.addShared(1)
        guard ChannelProtocol.isAttested(handshake.applicationProtocol) else {
            return beginWithoutExchange(link, handshake)
        }
        let facts = channel.facts(of: link, handshake)
        self.facts = facts
        let exchange = Exchange(settings: channel.settings, channel: facts, moment: .now)
        let run = ExchangeRun(
            exchange, of: channel, origin: channel.origin(of: facts), owner: self)
        self.run = run
        // A result that ends within a second would open a connection for nothing.
        let leases = run.leases(for: exchange.settings.asks, least: 1_000)
        link.sendMessage(run.exchange.start(leases: leases))
        run.proceed(link)
    }

    func receive(_ bytes: [UInt8], on link: Link) {
        guard !isOver else { return }
        if let foreign { return perform(foreign.receive(bytes), link) }
        run?.receive(bytes, on: link)
    }

    func linkDidBreak(_ link: Link) {
        finish()
        linger?.close()
        linger = nil
    }

    private func finish() {
        isOver = true
        run?.end()
        run = nil
    }

    // MARK: The exchange

    func exchangeSends(_ bytes: [UInt8], on link: Link) { link.sendMessage(bytes) }

    func exchangeDidSettle(on link: Link) {
        guard let run else { return }
        let leftover = run.exchange.takeLeftover()
        let counts = run.exchange.counts
        admit(link, run.exchange.admit(), leftover: leftover, counts: counts)
    }

    func exchangeDidProceed(on link: Link) {}

    func exchangeWasRefused(_ refusal: Refusal, on link: Link) {
        refuse(link, refusal, mayAnswer: false)
    }

    // MARK: Other systems

    /// A third party. A server may be known by the Evidence in its certificate, where the policy
    /// says so; a caller is let in only where the policy says that anybody is.
    private func beginWithoutExchange(_ link: Link, _ handshake: Handshake) {
        if channel.role == .client {
            began = System.uptimeMilliseconds
            let foreign = ForeignServer(handshake, channel) { [unowned link] label in
                link.export(label: label, context: [], count: 32) ?? []
            }
            self.foreign = foreign
            return perform(foreign.begin(), link)
        }
        guard case .policy(let policy) = channel.settings.asks,
            let peer = AdmittedPeer.anonymous(policy: policy, channelID: handshake.channelID)
        else {
            let refusal = Refusal(
                "evidence.missing", .policy, field: "ALPN",
                expected: ChannelProtocol.attestedHTTP1 + " and Evidence",
                got: handshake.applicationProtocol ?? "no protocol",
                remedy: "connect through `ratel connect`, which attests")
            return refuse(link, refusal, mayAnswer: true)
        }
        admit(link, peer, leftover: [])
    }

    private func perform(_ step: ForeignServer.Step, _ link: Link) {
        switch step {
        case .wait: return
        case .refused(let refusal): refuse(link, refusal, mayAnswer: false)
        case .appraise(let job):
            channel.appraisals.run(job, on: link.loop) { [self] outcome in
                guard !isOver, !link.isClosing, let foreign else { return }
                switch outcome {
                case .failure(let refusal): refuse(link, refusal, mayAnswer: false)
                case .success(let outcome):
                    if !foreign.answer.isEmpty { link.sendMessage(foreign.answer) }
                    admit(
                        link, outcome.admit(), leftover: foreign.leftover,
                        dialect: outcome.dialect)
                }
            }
        }
    }

    // MARK: The end

    private func admit(
        _ link: Link, _ peer: consuming AdmittedPeer, leftover: [UInt8],
        counts: ChallengeCounts? = nil, dialect: String? = nil
    ) {
        finish()
        // What was appraised by a policy that is gone since would stand for a whole max_age.
        guard peer.policyDigest == channel.policy.digest else {
            return refuse(link, .policyReplaced, mayAnswer: true)
        }
        let standing = peer.standing
        let name = peer.name
        let askedAt = peer.askedAt
        let wasLeased = peer.wasLeased
        let evidence = peer.evidence
        if case .observed(let refusal) = standing {
            return refuse(link, refusal, mayAnswer: true)
        }
        guard let passage = peer.passage() else {
            return refuse(link, .inspectionOnly, mayAnswer: false)
        }
        let result: AttestationResult? =
            if case .attested(let result) = standing { result } else { nil }
        let caller = AdmittedCaller(
            name: name, tier: result?.tier.rawValue ?? "none", answered: counts?.answered ?? 0,
            result: channel.role == .client ? result : nil, evidence: evidence)
        channel.admitted(link, caller, result, dialect: dialect, wasLeased: wasLeased)
        if let counts, let facts, link.speaksHTTP2 {
            link.keeper = ChannelKeeper(
                channel, facts, counts: counts, caller: caller)
        }
        if let result {
            let term = AdmissionTerm(
                result, askedAt: counts == nil ? began : askedAt,
                isRenewable: link.keeper != nil,
                cutsAnswers: channel.policy.longAnswers == .cut, now: link.now)
            link.expiresAt = term.endsAt
            link.cutsAt = term.cutsAt
            (link.keeper as? ChannelKeeper)?.keep(term, on: link)
        }
        link.open(passage, leftover: leftover)
    }

    private func refuse(_ link: Link, _ refusal: Refusal, mayAnswer: Bool) {
        finish()
        let failure = Failure(refusal, role: channel.role)
        channel.refused(link, failure)
        guard let connection = link as? Downstream else {
            return link.didBreak(.refused(failure))
        }
        if mayAnswer { return connection.refuse(failure) }
        link.finish()
        let timer = LoopTimer(on: link.loop) { [unowned link] in
            link.didBreak(.socket(.ended))
        }
        // 1 s: many round trips, so that the result frame is read before the connection goes.
        timer.start(after: 1_000)
        linger = timer
    }
}

extension Failure {
    /// The refusal of a peer as an HTTP caller hears it: 403 from a server, 502 from the caller's
    /// own helper.
    init(_ refusal: Refusal, role: Role) {
        self.init(
            status: role == .server ? 403 : 502, code: refusal.code,
            message: role == .server
                ? "this endpoint serves attested callers only: \(refusal.field)"
                : "the server was refused: \(refusal.field)",
            stage: refusal.stage.rawValue, field: refusal.field, expected: refusal.expected,
            got: refusal.got, remedy: refusal.remedy)
    }
}
