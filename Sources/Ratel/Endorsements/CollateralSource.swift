internal import Appraisal
internal import HTTP
internal import Keys
internal import Loop
internal import RATS

/// Where collateral comes from, besides the peer itself.
protocol CollateralSource: Sendable {
    /// What logs and tables call it.
    var name: String { get }
    /// Whether it has this sort of collateral at all.
    func serves(_ need: CollateralNeed) -> Bool
    /// Asks for it; blocks, at most until `deadline` on `System.uptime`.
    func fetch(_ need: CollateralNeed, deadline: UInt64) throws(CollateralFailure) -> RawCollateral
}

/// What a source answered; nobody has checked it yet.
struct RawCollateral: Sendable {
    var endorsements: [Endorsement]
    /// PEM chain of the PCK revocation list's issuer, where the source gives it.
    var pckIssuers: [UInt8]?
}

/// Why a source has nothing to give.
struct CollateralFailure: Error, Sendable {
    let text: String
    /// Seconds that the source asks to be left alone (Retry-After, RFC 9110 section 10.2.3).
    var retryAfter: UInt64?

    init(_ text: String, retryAfter: UInt64? = nil) {
        self.text = text
        self.retryAfter = retryAfter
    }
}

/// Asks one web service, within one deadline for all its requests.
struct CollateralClient: Sendable {
    let base: WebAddress
    let anchors: [Certificate]

    /// The body of a 200, with the answer's fields.
    func get(_ path: String, deadline: UInt64) throws(CollateralFailure) -> Fetch.Answer {
        try ask(Fetch(url: base.appending(path), anchors: anchors), deadline)
    }

    /// The same for a body that is sent.
    func post(
        _ path: String, _ body: [UInt8], type: String, deadline: UInt64
    ) throws(CollateralFailure) -> Fetch.Answer {
        var fetch = Fetch(url: base.appending(path), anchors: anchors)
        fetch.method = "POST"
        fetch.fields = [("content-type", type)]
        fetch.body = body
        return try ask(fetch, deadline)
    }

    private func ask(
        _ question: Fetch, _ deadline: UInt64
    ) throws(CollateralFailure) -> Fetch.Answer {
        let now = System.uptime
        guard now < deadline else { throw CollateralFailure("\(base): no time left") }
        var fetch = question
        fetch.budget = (deadline - now) / 1_000_000
        switch fetch.run() {
        case .failure(let failure): throw CollateralFailure(failure.description)
        case .success(let answer):
            guard answer.status == 200 else {
                throw CollateralFailure(
                    "\(fetch.url): status \(answer.status)",
                    retryAfter: answer.fields.firstValue(named: "retry-after").flatMap {
                        UInt64($0)
                    })
            }
            return answer
        }
    }
}
