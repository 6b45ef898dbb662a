public import Appraisal
internal import Keys
public import RATS

/// One side of the attestation exchange of one connection: protocol.md, "The exchange".
///
/// A value that does no I/O: bytes that came go into `receive`, and `next` says what to do until
/// it says `wait`. Slow work comes out as jobs whose outcomes go back in; while one runs, nothing
/// that came is read. Any failure is final, and tells the peer before it tells the caller.
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
        /// Both directions are settled: call `admit`.
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

    /// Where the direction stands in which the peer attests.
    enum Incoming {
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

    let settings: ExchangeSettings
    let channel: ChannelFacts
    let now: Int64
    let ownChallenge: ChallengeBody
    // The body as sent is what is hashed, so it is kept as sent.
    let ownChallengeBytes: [UInt8]

    var outgoing = Outgoing.awaitingChallenge
    var incoming: Incoming
    var peerChallenge: (bytes: [UInt8], question: ChallengeBody.Question?)?
    var ownNonce: [UInt8] = []
    var heldEvidence: (body: EvidenceBody, base: [UInt8])?
    var wasActivated = false
    var wasCredentialSent = false
    var outbox: [UInt8] = []
    var job: Step?
    var isJobRunning = false
    var failure: Refusal?
    var inspection: [AuthenticEvidence]?
    var hasEnded = false
    private var hasAdmitted = false
    private var input: [UInt8] = []
    private var offset = 0

    /// Prepares one side; `now` is the Unix time at which its challenge is sent.
    public init(settings: ExchangeSettings, channel: ChannelFacts, now: Int64) {
        self.settings = settings
        self.channel = channel
        self.now = now
        let kinds = settings.asks.kinds
        ownChallenge = ChallengeBody.make(kinds: kinds)
        ownChallengeBytes = ownChallenge.encoded
        incoming = .awaitingEvidence
        if case .policy(let policy) = settings.asks {
            if policy.isAnonymous {
                incoming = .settled(.anonymous)
            } else if kinds.isEmpty {
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

    /// The bytes to send first: this side's challenge.
    public mutating func start() -> [UInt8] {
        failure == nil ? Frame(.challenge, ownChallengeBytes).encoded : []
    }

    /// Takes bytes that came from the peer.
    public mutating func receive(_ bytes: [UInt8]) {
        guard failure == nil, !hasEnded || isSettled else { return }
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
                beginQuote()
                continue
            }
            if isSettled {
                hasEnded = true
                return .settled
            }
            do throws(Refusal) {
                guard let frame = try Frame.decode(input[offset...]) else {
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

    /// Whether both directions are settled and nothing failed.
    public var isSettled: Bool {
        guard failure == nil, inspection == nil, outgoing == .settled, case .settled = incoming
        else { return false }
        return true
    }

    /// What the appraisal of the peer found so far, for a person to read; it opens nothing.
    public var appraisal: AttestationResult? {
        if case .settled(.attested(let result)) = incoming { result } else { nil }
    }

    /// The right that this exchange has earned; once, after `settled`, and with every frame sent.
    public mutating func admit() -> AdmittedPeer {
        guard isSettled, hasEnded, outbox.isEmpty, !hasAdmitted,
            case .settled(let standing) = incoming
        else { preconditionFailure("admission without a settled exchange") }
        hasAdmitted = true
        var digest: [UInt8] = []
        if case .policy(let policy) = settings.asks { digest = policy.digest }
        return AdmittedPeer(
            channelID: channel.channelID,
            standing: standing,
            policyDigest: digest
        )
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
