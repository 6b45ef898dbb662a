internal import Appraisal
internal import Loop
internal import RATLS
internal import RATS
internal import Streams

/// How long one admission lasts, on the clock of its link's loop, in milliseconds: `protocol.md`,
/// Long connections.
struct AdmissionTerm {
    /// How long application bytes may flow past `max_age` while the peer is asked again.
    static let grace: UInt64 = 10_000
    /// The shortest `max_age` that is renewed: one challenge in 10 s, with a second for the way.
    static let shortestRenewal = UInt64(PeerPolicy.shortestRenewable) * 1_000

    /// Of the result.
    let maxAge: UInt64
    /// When the peer is asked again; nil where the connection ends instead.
    let renewsAt: UInt64?
    /// No request begins from then on, and where the admission is renewable nothing flows.
    let endsAt: UInt64
    /// When answers under way are cut; nil where they are not.
    let cutsAt: UInt64?

    /// Of a result whose challenge was sent `askedAt` milliseconds after boot; `present` and `now`
    /// are this moment, the latter on the loop's clock.
    init(
        _ result: AttestationResult, askedAt: UInt64, isRenewable: Bool,
        cutsAnswers: Bool, at present: Moment = .now, now: UInt64
    ) {
        let maxAge = UInt64(result.maxAge) * 1_000
        self.maxAge = maxAge
        let age = present.uptime - min(askedAt, present.uptime)
        // A century is as good as for ever, and can be added to.
        let valid = min(max(0, result.validUntil - present.unix), 100 * 365 * 86_400)
        let collateral = now + UInt64(valid) * 1_000
        let old = now + (maxAge > age ? maxAge - age : 0)
        if isRenewable, maxAge >= AdmissionTerm.shortestRenewal {
            // What the exchange took past the age is not given again.
            let late = age > maxAge ? age - maxAge : 0
            let grace = AdmissionTerm.grace - min(late, AdmissionTerm.grace)
            let end = min(old + grace, max(collateral, now))
            renewsAt = min(old, max(now, end - min(end, AdmissionTerm.grace)))
            endsAt = end
            cutsAt = nil
        } else {
            renewsAt = nil
            endsAt = min(old, collateral)
            // A result that is good for one connection alone has no age that an answer could
            // outlast: it has as long as by default.
            let twice = 2 * (maxAge > 0 ? maxAge : UInt64(PeerPolicy.defaultMaxAge) * 1_000)
            cutsAt = cutsAnswers ? now + (twice - min(age, twice)) : nil
        }
    }

    /// How many milliseconds streams under way have left once a renewal ended in `refusal`; nil
    /// where they end at once.
    ///
    /// `wasAsked` says whether the peer owed this side an answer; `left` is the rest of its term.
    static func patience(
        after refusal: Refusal, _ onChange: AppraisalPolicy.OnChange, wasAsked: Bool,
        maxAge: UInt64, left: UInt64
    ) -> UInt64? {
        // As long as an answer over HTTP/1.1.
        let usual = maxAge > 0 ? maxAge : UInt64(PeerPolicy.defaultMaxAge) * 1_000
        // A peer that refuses this side ends its streams as it likes; it is not asked again, and
        // so has no more than its term.
        if refusal.stage == .peer, !wasAsked { return min(usual, left) }
        // Only authentic Evidence says what has changed; anything else may be anybody's.
        return refusal.stage == .policy && onChange == .drain ? usual : nil
    }
}
