internal import Appraisal
internal import Loop
internal import RATLS
internal import RATS
internal import Streams
internal import TLS

/// Runs the attestation exchange over one link and opens the link with what it earned.
///
/// The rules are all in `Exchange`; this carries bytes and jobs between it, the link, the quote
/// queue and libuv's threads.
final class ChannelPreamble: Preamble {
    private let channel: Channel
    private var exchange: Exchange?
    /// What a server of another system says, in place of an exchange.
    private var foreign: ForeignServer?
    /// When the challenge was sent: the age of a result runs from there.
    private var began: UInt64 = 0
    private var isOver = false
    private let presence = Presence()
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
        let facts = ChannelFacts(
            channelID: handshake.channelID,
            role: channel.role,
            localSPKI: handshake.localKey,
            peerSPKI: handshake.peerKey,
            // The link outlives its preamble, and so this exchange.
            export: { [unowned link] in link.export(label: $0, context: $1, count: 32) })
        began = link.now
        var exchange = Exchange(settings: channel.settings, channel: facts, now: System.now)
        let challenge = exchange.start()
        self.exchange = exchange
        link.sendMessage(challenge)
        proceed(link)
    }

    func receive(_ bytes: [UInt8], on link: Link) {
        guard !isOver else { return }
        if let foreign { return perform(foreign.receive(bytes), link) }
        exchange?.receive(bytes)
        proceed(link)
    }

    func linkDidBreak(_ link: Link) {
        isOver = true
        presence.end()
        exchange = nil
        linger?.close()
        linger = nil
    }

    /// A third party. A server may be known by the Evidence in its certificate, where the policy
    /// says so; a caller is let in only where the policy says that anybody is.
    private func beginWithoutExchange(_ link: Link, _ handshake: Handshake) {
        if channel.role == .client {
            began = link.now
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

    private func proceed(_ link: Link) {
        while !isOver, !link.isClosing {
            switch exchange?.next() ?? .wait {
            case .wait:
                return
            case .send(let bytes):
                link.sendMessage(bytes)
            case .quote(let job):
                channel.quotes.submit(
                    job, of: link.callerAddress, isWanted: { [presence] in presence.isThere },
                    to: link.loop.mailbox, then: resume(link, job))
            case .appraise(let job):
                channel.appraisals.run(job, on: link.loop) { [self] outcome in
                    guard !isOver, !link.isClosing else { return }
                    exchange?.appraised(outcome)
                    proceed(link)
                }
            case .settled:
                guard let peer = exchange?.admit() else { return }
                let leftover = exchange?.takeLeftover() ?? []
                return admit(link, peer, leftover: leftover)
            case .inspected:
                return refuse(link, .inspectionOnly, mayAnswer: false)
            case .refused(let refusal):
                return refuse(link, refusal, mayAnswer: false)
            }
        }
    }

    private func resume(
        _ link: Link, _ job: QuoteJob
    ) -> @Sendable (Result<QuoteJob.Outcome, Refusal>) -> Void {
        let bound = LoopBound((preamble: self, link: link))
        return { outcome in
            let (preamble, link) = bound.value
            guard !preamble.isOver, !link.isClosing else { return }
            preamble.exchange?.quoted(outcome)
            preamble.proceed(link)
        }
    }

    private func admit(
        _ link: Link, _ peer: consuming AdmittedPeer, leftover: [UInt8], dialect: String? = nil
    ) {
        isOver = true
        let answered: UInt32 = exchange == nil ? 0 : 1
        exchange = nil
        let standing = peer.standing
        let name = peer.name
        if case .observed(let refusal) = standing {
            return refuse(link, refusal, mayAnswer: true)
        }
        guard let passage = peer.passage() else {
            return refuse(link, .inspectionOnly, mayAnswer: false)
        }
        let result: AttestationResult? =
            if case .attested(let result) = standing { result } else { nil }
        let caller = AdmittedCaller(
            name: name, tier: result?.tier.rawValue ?? "none", answered: answered)
        channel.admitted(link, caller, result, dialect: dialect)
        link.expiresAt = result.map { result in
            let age = began + UInt64(result.maxAge) * 1_000
            return min(age, link.now + UInt64(result.lifetime(at: System.now)) * 1_000)
        }
        link.open(passage, leftover: leftover)
    }

    private func refuse(_ link: Link, _ refusal: Refusal, mayAnswer: Bool) {
        isOver = true
        exchange = nil
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

extension Link {
    /// The peer's address without its port: what tells one caller from another.
    var callerAddress: String {
        let address = (self as? Downstream)?.remote ?? peerAddress
        guard case .ip(let host, _)? = address else { return "unix" }
        return host
    }
}

extension Refusal {
    static let inspectionOnly = Refusal(
        "policy.inspection", .policy, field: "peer", expected: "an admission",
        got: "a look at its Evidence", remedy: "connect with a policy")
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
