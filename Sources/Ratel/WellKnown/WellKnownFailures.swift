internal import RATS
internal import Streams

extension Failure {
    static let attestsNothing = Failure(
        status: 404, code: "wellknown.unattested", message: "this listener does not attest",
        stage: "attestation", field: "listener", expected: "one with an attestation identity",
        got: "another", remedy: "ask the server itself, over a connection of your own to it")

    static let unknownWellKnown = Failure(
        status: 404, code: "wellknown.path", message: "there is nothing at this path",
        stage: "request", field: "path", expected: WellKnownPath.attestation,
        got: "another path that is kept for Ratel",
        remedy: "spell the path exactly so; others like it never reach a backend")

    static let methodOfWellKnown = Failure(
        status: 405, code: "wellknown.method", message: "this path has other methods",
        stage: "request", field: "method", expected: "GET, HEAD or POST", got: "another",
        remedy: "GET the Evidence of the certificate, or POST a challenge",
        allowed: "GET, HEAD, POST")

    static let challengeType = Failure(
        status: 415, code: "wellknown.type", message: "a challenge is CBOR", stage: "request",
        field: "Content-Type", expected: "application/cbor", got: "another, or none",
        remedy: "send the body of a challenge frame, and say that it is application/cbor")

    static let noStaticEvidence = Failure(
        status: 404, code: "wellknown.static",
        message: "the certificate of this connection holds no Evidence", stage: "attestation",
        field: "id-pe-cmw", expected: "a certificate that this process made with Evidence",
        got: "a provided certificate, or one of a side without an Attester",
        remedy: "POST a challenge: Evidence over the connection needs nothing of the certificate")

    static let challengeUnderWay = Failure(
        status: 429, code: "wellknown.busy",
        message: "a challenge of this connection is being answered", stage: "attestation",
        field: "challenges under way", expected: "one at a time", got: "another",
        remedy: "wait for the answer to the first", retryAfter: 1)

    /// Why a challenge has no Evidence for an answer, as its caller hears it.
    ///
    /// What failed inside this machine is its own business: of that, the caller learns the code.
    init(ofChallenge refusal: Refusal) {
        let (status, wait, isPrivate): (Int, Int?, Bool) =
            switch refusal.code {
            case "exchange.challenge.malformed", "exchange.challenge.empty": (400, nil, false)
            case "attester.none": (404, nil, false)
            case "attester.kind.unwanted": (501, nil, false)
            case "attester.busy": (503, 1, false)
            // A quote that failed; one is tried again every 5 s (`ServiceRuntime`).
            case _ where refusal.stage == .attestation: (503, 5, true)
            default: (500, nil, true)
            }
        self.init(
            status: status, code: refusal.code,
            message: "this challenge is not answered with Evidence", stage: refusal.stage.rawValue,
            field: isPrivate ? "Evidence" : refusal.field,
            expected: isPrivate ? "a quote of this machine" : refusal.expected,
            got: isPrivate ? "none" : refusal.got,
            remedy: isPrivate ? "retry later; the server's log says why" : refusal.remedy,
            retryAfter: wait)
    }
}
