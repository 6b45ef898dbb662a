import RATS
import Streams
import Testing

@testable import Ratel

/// How HTTP callers hear of challenges that are not answered.
struct WellKnownFailureTests {
    private func failure(_ code: String, _ stage: Refusal.Stage = .attestation) -> Failure {
        Failure(
            ofChallenge: Refusal(
                code, stage, field: "device", expected: "one", got: "/dev/secret", remedy: "look"))
    }

    @Test func whoMayComeAgainIsToldWhen() {
        let busy = failure("attester.busy")
        #expect(busy.status == 503 && busy.retryAfter == 1 && busy.code == "attester.busy")
        let hung = failure("attester.hung")
        #expect(hung.status == 503 && hung.retryAfter == 5)
        // What it is that hangs is for the log.
        #expect(hung.got == "none" && hung.field == "Evidence")
        #expect(failure("attester.none").status == 404)
        #expect(failure("attester.kind.unwanted").status == 501)
        #expect(failure("exchange.challenge.empty", .exchange).status == 400)
        #expect(failure("binding.key.malformed", .binding).status == 500)
    }
}
