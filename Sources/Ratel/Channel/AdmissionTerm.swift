internal import Appraisal
internal import Loop
internal import RATLS
internal import Streams

/// How long one admission lasts, on the clock of its link's loop, in milliseconds: `protocol.md`,
/// Long connections.
struct AdmissionTerm {
    /// How long application bytes may flow past `max_age` while the peer is asked again.
    static let grace: UInt64 = 10_000
    /// The shortest `max_age` that is renewed: one challenge in 10 s, with a second for the way.
    static let shortestRenewal: UInt64 = Exchange.challengeInterval + 1_000

    /// Of the result.
    let maxAge: UInt64
    /// When the peer is asked again; nil where the connection ends instead.
    let renewsAt: UInt64?
    /// No request begins from then on, and where the admission is renewable nothing flows.
    let endsAt: UInt64
    /// When answers under way are cut; nil where they are not.
    let cutsAt: UInt64?

    /// Of a result whose challenge was sent `askedAt` milliseconds after boot.
    init(
        _ result: AttestationResult, askedAt: UInt64, isRenewable: Bool,
        cutsAnswers: Bool, on link: Link
    ) {
        let maxAge = UInt64(result.maxAge) * 1_000
        self.maxAge = maxAge
        let age = System.uptimeMilliseconds - min(askedAt, System.uptimeMilliseconds)
        // A century is as good as for ever, and can be added to.
        let valid = min(max(0, result.validUntil - System.now), 100 * 365 * 86_400)
        let collateral = link.now + UInt64(valid) * 1_000
        let old = link.now + (maxAge > age ? maxAge - age : 0)
        if isRenewable, maxAge >= AdmissionTerm.shortestRenewal {
            let end = min(old + AdmissionTerm.grace, max(collateral, link.now))
            renewsAt = min(old, max(link.now, end - min(end, AdmissionTerm.grace)))
            endsAt = end
            cutsAt = nil
        } else {
            renewsAt = nil
            endsAt = min(old, collateral)
            // A result that is good for one connection alone has no age that an answer could
            // outlast: it has as long as by default.
            let usual = UInt64(PeerPolicy.defaultMaxAge) * 1_000
            cutsAt = cutsAnswers ? old + (maxAge > 0 ? maxAge : 2 * usual) : nil
        }
    }
}
