import RATLS
import RATS
import Testing

@testable import Appraisal
@testable import Ratel

/// How long an admission lasts, and how long its streams outlast it.
struct AdmissionTermTests {
    /// Of a result with this `max_age` in seconds, at so many milliseconds after its challenge.
    private func term(
        maxAge: UInt32, age: UInt64, isRenewable: Bool = true, validFor: Int64 = 100_000,
        cutsAnswers: Bool = true
    ) -> AdmissionTerm {
        let result = AttestationResult(
            peer: "p", tier: .session, policyDigest: [], evidence: [], configuration: [],
            appraisedAt: 0, maxAge: maxAge, validUntil: 1_800_000_000 + validFor)
        return AdmissionTerm(
            result, askedAt: 5_000_000, isRenewable: isRenewable, cutsAnswers: cutsAnswers,
            at: Moment(unix: 1_800_000_000, uptime: 5_000_000 + age), now: 1_000_000)
    }

    @Test func theShortestAgeIsOneThatCanBeRenewed() {
        #expect(AdmissionTerm.shortestRenewal == Exchange.challengeInterval + 1_000)
    }

    @Test func aTermEndsTenSecondsAfterItsAge() {
        let young = term(maxAge: 60, age: 1_000)
        #expect(young.renewsAt == 1_059_000 && young.endsAt == 1_069_000)
        // What an exchange took past the age is not given again.
        for (age, end) in [
            (60_000, 1_010_000), (63_000, 1_007_000), (70_000, 1_000_000), (99_000, 1_000_000),
        ] as [(UInt64, UInt64)] {
            let old = term(maxAge: 60, age: age)
            #expect(old.renewsAt == 1_000_000 && old.endsAt == end, "\(age)")
        }
    }

    @Test func collateralEndsATermAtOnce() {
        let term = term(maxAge: 60, age: 0, validFor: 30)
        #expect(term.renewsAt == 1_020_000 && term.endsAt == 1_030_000)
        let over = self.term(maxAge: 60, age: 0, validFor: -5)
        #expect(over.renewsAt == 1_000_000 && over.endsAt == 1_000_000)
        let short = self.term(maxAge: 60, age: 0, isRenewable: false, validFor: 30)
        #expect(short.endsAt == 1_030_000)
    }

    @Test func whatCannotBeRenewedEndsWithItsAge() {
        #expect(term(maxAge: 11, age: 0).renewsAt != nil)
        for term in [
            term(maxAge: 10, age: 1_000), term(maxAge: 10, age: 1_000, isRenewable: false),
        ] {
            #expect(term.renewsAt == nil && term.endsAt == 1_009_000)
            #expect(term.cutsAt == 1_019_000)
        }
        #expect(term(maxAge: 0, age: 1_000).cutsAt == 1_599_000)
        #expect(term(maxAge: 10, age: 12_000, isRenewable: false).cutsAt == 1_008_000)
        #expect(term(maxAge: 10, age: 0, cutsAnswers: false).cutsAt == nil)
    }

    @Test func streamsOutlastAnAdmissionByItsReason() {
        func patience(
            _ stage: Refusal.Stage, _ onChange: AppraisalPolicy.OnChange = .drain,
            wasAsked: Bool = true, maxAge: UInt64 = 60_000, left: UInt64 = 7_000
        ) -> UInt64? {
            AdmissionTerm.patience(
                after: Refusal(
                    "test", stage, field: "", expected: "", got: "", remedy: ""),
                onChange, wasAsked: wasAsked, maxAge: maxAge, left: left)
        }
        #expect(patience(.policy) == 60_000)
        #expect(patience(.policy, maxAge: 0) == 300_000)
        #expect(patience(.policy, .close) == nil)
        // What is not authentic, or breaks the rules, ends everything.
        for stage in Refusal.Stage.allCases where stage != .policy {
            #expect(patience(stage) == nil, "\(stage)")
        }
        // A peer that refuses this side is not asked again, and gains no time by that.
        #expect(patience(.peer, wasAsked: false) == 7_000)
        #expect(patience(.peer, wasAsked: false, left: .max) == 60_000)
        #expect(patience(.peer, .close, wasAsked: false) == 7_000)
    }
}
