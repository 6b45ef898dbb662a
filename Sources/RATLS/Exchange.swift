public import Appraisal
internal import Keys
public import RATS

/// One side of the attestation exchange of one connection: protocol.md, "The exchange" and "Long
/// connections".
///
/// A value that does no I/O: bytes that came go into `receive`, and `next` says what to do until
/// it says `wait`. Slow work comes out as jobs whose outcomes go back in; while one runs, nothing
/// that came is read. Any failure is final, and tells the peer before it tells the caller.
///
/// Leases are signed and checked in place: each takes less than a signature of the handshake that
/// went before it on the same thread.
public struct Exchange {
    /// What the owner of the connection has to do next.
    public enum Step {
        /// Nothing until more bytes or an outcome come.
        case wait
        /// Send these bytes.
        case send([UInt8])
        /// Run the job and pass its outcome to `quoted`.
        case quote(QuoteJob)
        /// Run the job and pass its outcome to `appraised`.
        case appraise(AppraisalJob)
        /// Both directions are settled, or the peer is admitted anew: call `admit`.
        case settled
        /// What was asked to be looked at; the connection is of no further use.
        case inspected([AuthenticEvidence], configuration: [UInt8])
        /// Close the connection.
        case refused(Refusal)
    }

    /// Where the direction stands in which this side attests.
    enum Outgoing: Equatable {
        case awaitingChallenge, held, quoting, awaitingResult, activating, settled
    }

    /// What an exchange is for.
    public enum Purpose: Sendable {
        /// To open the connection: it begins with a challenge in each direction.
        case opening
        /// To renew on an open connection what the opening one found; either side asks when it has
        /// to, and not the other.
        case renewing
    }

    /// Where the direction stands in which the peer attests.
    enum Incoming {
        /// Nothing was asked: only while renewing.
        case idle
        case awaitingEvidence
        case appraising
        case awaitingSecret(PendingActivation)
        case settled(AdmittedPeer.Standing)
    }

    /// How much may lie unread before the exchange is settled: the largest frame, and what a
    /// client may send right behind its last one (a TLS record's worth is plenty).
    static let maxUnread = Frame.headerSize + 1024 * 1024 + maxUnreadOutOfTurn
    /// The same while no Evidence may come: any peer can make a server keep this much.
    static let maxUnreadOutOfTurn = 64 * 1024

    /// Milliseconds that lie between two challenges of one side on an open connection:
    /// protocol.md, "Long connections".
    public static let challengeInterval: UInt64 = 10_000

    /// What is asked and shown; may be replaced while nothing is under way.
    public var settings: ExchangeSettings
    let channel: ChannelFacts
    public let purpose: Purpose
    /// When this side's challenge was sent.
    var moment: Moment
    var ownChallenge = ChallengeBody(question: nil)
    // The body as sent is what is hashed, so it is kept as sent.
    var ownChallengeBytes: [UInt8] = []
    /// What the peer may answer this side's challenge with in place of Evidence.
    var leases: [Lease] = []
    /// Challenges of the whole connection.
    public var counts: ChallengeCounts
    /// `seq` of the two that are being answered.
    var ownSequence: UInt32 = 0
    var peerSequence: UInt32 = 0

    var outgoing = Outgoing.awaitingChallenge
    var incoming = Incoming.idle
    var peerChallenge: (bytes: [UInt8], question: ChallengeBody.Question?)?
    /// When the peer last began to ask, and when bytes last came, in milliseconds since boot.
    var challengedAt: UInt64?
    var receivedAt: UInt64 = 0
    /// Whether the peer's challenge was answered with a lease, after which it may ask once more.
    var hasLeased = false
    /// What the admission that was earned last rests on.
    var askedAt: UInt64 = 0
    var wasLeased = false
    var earned: Lease?
    var ownNonce: [UInt8] = []
    var heldEvidence: (body: EvidenceBody, inputs: Binding.Inputs)?
    /// What the admission rests on, where it is kept.
    var kept: SessionEvidence?
    var wasActivated = false
    var wasCredentialSent = false
    var outbox: [UInt8] = []
    var job: Step?
    var isJobRunning = false
    var failure: Refusal?
    var inspection: [AuthenticEvidence]?
    var hasEnded = false
    private var hasAdmitted = false
    /// What came and was not looked at yet, behind `offset` bytes that were.
    private(set) var input: [UInt8] = []
    private var offset = 0

    /// Prepares one side of a connection on which `counts` challenges went before.
    public init(
        settings: ExchangeSettings,
        channel: ChannelFacts,
        purpose: Purpose = .opening,
        counts: ChallengeCounts = ChallengeCounts(),
        moment: Moment
    ) {
        self.settings = settings
        self.channel = channel
        self.purpose = purpose
        self.counts = counts
        self.moment = moment
        guard purpose == .opening else {
            outgoing = .settled
            return
        }
        incoming = .awaitingEvidence
        if case .policy(let policy) = settings.asks {
            if policy.isAnonymous {
                incoming = .settled(.anonymous)
            } else if settings.asks.kinds.isEmpty {
                // A policy that accepts nobody must not end up asking for nothing.
                failure = Refusal(
                    "policy.peer.none",
                    .policy,
                    field: "peers",
                    expected: "a peer in the policy",
                    got: "a policy that accepts nobody",
                    remedy: "add the peer to `peers`"
                )
            }
        }
    }

    /// The bytes to send first: this side's challenge, which a lease over one of `leases` may
    /// answer.
    public mutating func start(leases: [Lease] = []) -> [UInt8] {
        guard failure == nil, purpose == .opening else { return [] }
        return challenge(settings.asks.kinds, leases)
    }

    /// The challenge to send on an open connection; empty where one is under way already.
    ///
    /// What is asked is told each time: a peer that leaves a frame or a challenge of its own
    /// unfinished must not keep what was asked before in force.
    public mutating func ask(
        _ asks: ExchangeSettings.Asks, at moment: Moment, leases: [Lease]
    ) -> [UInt8] {
        guard failure == nil, purpose == .renewing, case .idle = incoming else { return [] }
        settings.asks = asks
        self.moment = moment
        wasCredentialSent = false
        incoming = .awaitingEvidence
        return challenge(settings.asks.kinds, leases)
    }

    mutating func challenge(_ kinds: [EvidenceKind], _ leases: [Lease]) -> [UInt8] {
        self.leases = Array(leases.prefix(ChallengeBody.maxKnownKeys))
        ownChallenge = ChallengeBody.make(kinds: kinds, knownKeys: self.leases.map(\.keyHash))
        ownChallengeBytes = ownChallenge.encoded
        if ownChallenge.question != nil {
            ownSequence = counts.asked
            counts.asked += 1
        }
        return Frame(.challenge, ownChallengeBytes).encoded
    }

    /// Takes bytes that came from the peer, at so many milliseconds since boot.
    public mutating func receive(_ bytes: [UInt8], uptime: UInt64) {
        guard failure == nil, !hasEnded || isSettled else { return }
        receivedAt = uptime
        input.append(contentsOf: bytes)
        if !isSettled { limitUnread(to: Exchange.maxUnread) }
    }

    private mutating func limitUnread(to limit: Int) {
        guard input.count - offset > limit else { return }
        fail(
            ExchangeRules.refusal(
                "exchange.unread.too_long",
                "bytes before admission",
                expected: "up to \(limit)",
                got: "more"
            )
        )
    }

    /// Bytes of the peer that were not looked at yet.
    var unread: Int { input.count - offset }

    /// What to do next; call until it says `wait`, or until the exchange has ended.
    public mutating func next() -> Step {
        while true {
            if !outbox.isEmpty {
                defer { outbox = [] }
                return .send(outbox)
            }
            if let failure {
                hasEnded = true
                return .refused(failure)
            }
            if let inspection {
                hasEnded = true
                return .inspected(inspection, configuration: heldEvidence?.body.configuration ?? [])
            }
            if let job {
                self.job = nil
                isJobRunning = true
                return job
            }
            if isJobRunning {
                limitUnread(to: Exchange.maxUnreadOutOfTurn)
                if failure == nil { return .wait }
                continue
            }
            if outgoing == .held, mayAttest {
                attest()
                continue
            }
            if isSettled {
                hasEnded = purpose == .opening
                return .settled
            }
            do throws(Refusal) {
                guard let frame = try Frame.decode(input[offset...]) else {
                    forgetRead()
                    if !mayTakeEvidence { limitUnread(to: Exchange.maxUnreadOutOfTurn) }
                    if failure == nil { return .wait }
                    continue
                }
                offset += Frame.headerSize + frame.body.count
                try handle(frame)
            } catch {
                fail(error)
            }
        }
    }

    // A connection lives for days and is renewed each `max_age`, Evidence and all.
    private mutating func forgetRead() {
        guard offset > 0 else { return }
        input.removeFirst(offset)
        offset = 0
    }

    /// Whether nothing failed, and both directions are settled: of a renewal, the one in which this
    /// side asked.
    public var isSettled: Bool {
        guard failure == nil, inspection == nil, case .settled = incoming else { return false }
        return purpose == .renewing || outgoing == .settled
    }

    /// Whether a challenge of the peer's is being answered.
    public var isAnswering: Bool { outgoing != .settled }

    /// Whether nothing is under way that a renewal was for.
    public var isIdle: Bool {
        guard case .idle = incoming else { return false }
        return outgoing == .settled && unread == 0
    }

    /// What the appraisal of the peer found so far, for a person to read; it opens nothing.
    public var appraisal: AttestationResult? {
        if case .settled(.attested(let result)) = incoming { result } else { nil }
    }

    /// The right that this exchange has earned; once for each `settled`, with every frame sent.
    public mutating func admit() -> AdmittedPeer {
        guard isSettled, outbox.isEmpty, !hasAdmitted, case .settled(let standing) = incoming,
            hasEnded || purpose == .renewing
        else { preconditionFailure("admission without a settled exchange") }
        if purpose == .renewing { incoming = .idle } else { hasAdmitted = true }
        var digest: [UInt8] = []
        if case .policy(let policy) = settings.asks { digest = policy.digest }
        return AdmittedPeer(
            channelID: channel.channelID,
            standing: standing,
            policyDigest: digest,
            askedAt: askedAt,
            wasLeased: wasLeased,
            evidence: kept
        )
    }

    /// What to remember of Evidence that was admitted just now; nil where there was none.
    public mutating func takeLease() -> Lease? {
        defer { earned = nil }
        return earned
    }

    /// The bytes behind the last frame: the first of the application's.
    public mutating func takeLeftover() -> [UInt8] {
        precondition(isSettled, "bytes were asked for before admission")
        defer {
            input = []
            offset = 0
        }
        return Array(input[offset...])
    }

    /// Ends in a refusal, and has the peer told unless it is the peer that refused.
    mutating func fail(_ refusal: Refusal) {
        guard failure == nil else { return }
        failure = refusal
        job = nil
        input = []
        offset = 0
        if refusal.stage != .peer {
            outbox += Frame(.result, ResultBody.refused(refusal).encoded).encoded
        }
    }
}
