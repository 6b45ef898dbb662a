internal import Appraisal
internal import Loop
internal import RATLS
internal import RATS
internal import Streams
internal import TLS

/// Runs one exchange over one link.
///
/// The rules are all in `Exchange`; this carries bytes and jobs between it, the link, the quote
/// queue and libuv's threads.
final class ExchangeRun {
    /// Whom it tells.
    protocol Owner: AnyObject {
        /// These bytes are for the peer.
        func exchangeSends(_ bytes: [UInt8], on link: Link)
        /// The exchange is settled: `admit` may be called.
        func exchangeDidSettle(on link: Link)
        /// It did what could be done for now, a job's outcome included.
        func exchangeDidProceed(on link: Link)
        /// The link is to be closed.
        func exchangeWasRefused(_ refusal: Refusal, on link: Link)
    }

    var exchange: Exchange
    private let channel: Channel
    /// What leases of the peer are kept under.
    private let origin: [UInt8]
    private weak var owner: (any Owner)?
    private let presence = Presence()
    /// That of the book when the peer was asked.
    private var generation: UInt64 = 0
    private var isOver = false

    init(_ exchange: Exchange, of channel: Channel, origin: [UInt8], owner: any Owner) {
        self.exchange = exchange
        self.channel = channel
        self.origin = origin
        self.owner = owner
    }

    /// Nothing is done or told any more.
    func end() {
        isOver = true
        presence.end()
        owner = nil
    }

    func receive(_ bytes: [UInt8], on link: Link) {
        guard !isOver else { return }
        exchange.receive(bytes, uptime: System.uptimeMilliseconds)
        proceed(link)
    }

    /// What the peer may answer this side's challenge with; results that have less than `least`
    /// milliseconds left are not used.
    func leases(for asks: ExchangeSettings.Asks, least: UInt64) -> [Lease] {
        guard case .policy(let policy) = asks else { return [] }
        generation = channel.leases.generation
        return channel.leases.leases(
            of: origin, policyDigest: policy.digest, at: .now, least: least)
    }

    func proceed(_ link: Link) {
        defer { owner?.exchangeDidProceed(on: link) }
        while !isOver, !link.isClosing {
            switch exchange.next() {
            case .wait:
                return
            case .send(let bytes):
                owner?.exchangeSends(bytes, on: link)
            case .quote(let job):
                channel.quotes.submit(
                    job, of: link.callerHost, isWanted: { [presence] in presence.isThere },
                    to: link.loop.mailbox, then: resume(link))
            case .appraise(let job):
                channel.appraisals.run(job, on: link.loop) { [self] outcome in
                    guard !isOver, !link.isClosing else { return }
                    exchange.appraised(outcome)
                    proceed(link)
                }
            case .settled:
                if let lease = exchange.takeLease() {
                    channel.leases.keep(lease, of: origin, since: generation)
                }
                owner?.exchangeDidSettle(on: link)
                if exchange.purpose == .opening { return }
            case .inspected:
                owner?.exchangeWasRefused(.inspectionOnly, on: link)
                return
            case .refused(let refusal):
                owner?.exchangeWasRefused(refusal, on: link)
                return
            }
        }
    }

    private func resume(
        _ link: Link
    ) -> @Sendable (Result<QuoteJob.Outcome, Refusal>) -> Void {
        let bound = LoopBound((run: self, link: link))
        return { outcome in
            let (run, link) = bound.value
            guard !run.isOver, !link.isClosing else { return }
            run.exchange.quoted(outcome)
            run.proceed(link)
        }
    }
}

extension Moment {
    /// This instant.
    static var now: Moment {
        Moment(unix: System.now, uptime: System.uptimeMilliseconds)
    }
}

extension Link {
    /// What an exchange has to know of this connection.
    func facts(_ handshake: Handshake, as role: Role) -> ChannelFacts {
        ChannelFacts(
            channelID: handshake.channelID, role: role, localSPKI: handshake.localKey,
            peerSPKI: handshake.peerKey,
            // The link outlives its preamble and its keeper, and so each exchange.
            export: { [unowned self] in self.export(label: $0, context: $1, count: 32) })
    }

    /// What tells one caller from another.
    var callerHost: [UInt8] {
        let address = (self as? Downstream)?.remote ?? peerAddress
        return address?.host ?? []
    }
}

extension Refusal {
    static let policyReplaced = Refusal(
        "admission.policy_replaced", .policy, field: "policy",
        expected: "the policy that is in force", got: "the one before, under which it began",
        remedy: "connect again")

    static let inspectionOnly = Refusal(
        "policy.inspection", .policy, field: "peer", expected: "an admission",
        got: "a look at its Evidence", remedy: "connect with a policy")
}
