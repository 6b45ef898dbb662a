internal import Keys
public import RATS

/// The direction in which this side attests.
extension Exchange {
    // The server attests first: a client must not show itself to a server it has not admitted.
    var mayAttest: Bool {
        if channel.role == .server { return true }
        if case .settled = incoming { return true }
        return false
    }

    mutating func handleChallenge(_ bytes: [UInt8]) throws(Refusal) {
        guard peerChallenge == nil else {
            throw ExchangeRules.refusal(
                "exchange.challenge.repeated",
                "challenge",
                expected: "one",
                got: "a second"
            )
        }
        let challenge = try ChallengeBody.decode(bytes)
        peerChallenge = (bytes, challenge.question)
        guard let question = challenge.question else {
            outgoing = .settled
            return
        }
        guard question.nonce != ownChallenge.question?.nonce else {
            throw ExchangeRules.refusal(
                "exchange.challenge.reflected",
                "challenge",
                expected: "the peer's own nonce",
                got: "the nonce that this side sent"
            )
        }
        outgoing = .held
        // A side without an attester says so when its turn comes: a client has then appraised the
        // server already, and can tell what it found.
        guard let attestation = settings.attestation else { return }
        try attestation.check(wanted: question.kinds)
    }

    mutating func beginQuote() {
        guard let challenge = peerChallenge else { return }
        ownNonce = SecureRandom.bytes(Binding.nonceSize)
        do throws(Refusal) {
            let attestation = try settings.mustAttest()
            let base = try base(
                attester: channel.role,
                attesterKey: try channel.mustHaveKey(),
                peerKey: channel.peerSPKI,
                challenge: challenge.bytes,
                nonce: ownNonce,
                configuration: settings.configuration
            )
            outgoing = .quoting
            job = .quote(QuoteJob(attestation: attestation, work: .quote(base: base)))
        } catch {
            fail(error)
        }
    }

    /// Takes the outcome of a quote job.
    public mutating func quoted(_ outcome: Result<QuoteJob.Outcome, Refusal>) {
        precondition(isJobRunning, "an outcome without a job")
        isJobRunning = false
        guard failure == nil else { return }
        switch outcome {
        case .failure(let refusal):
            fail(refusal)
        case .success(let outcome):
            switch outcome.product {
            case .evidence(let evidence, let endorsements, let path, let signature):
                sendEvidence(evidence, endorsements, path, signature)
            case .secret(let secret):
                outbox += Frame(.activated, ActivationBody.encode(secret: secret)).encoded
                outgoing = .awaitingResult
            }
        }
    }

    private mutating func sendEvidence(
        _ evidence: [Evidence],
        _ endorsements: [Endorsement],
        _ path: MerkleTree.Path,
        _ signature: [UInt8]
    ) {
        guard let attestation = settings.attestation else { return }
        let body = EvidenceBody(
            nonce: ownNonce,
            evidence: evidence,
            bindingKey: attestation.bindingKey.spki,
            path: path,
            configuration: settings.configuration,
            endorsements: endorsements,
            signature: signature
        )
        do throws(Refusal) {
            outbox += Frame(.evidence, try body.encodedInLimit()).encoded
            outgoing = .awaitingResult
        } catch {
            fail(error)
        }
    }

    mutating func handleResult(_ bytes: [UInt8]) throws(Refusal) {
        let result = try ResultBody.decode(bytes)
        guard result.code == 0 else {
            throw Refusal(
                "peer.refused",
                .peer,
                field: "result of the peer",
                expected: "admission",
                got: "\(result.code): \(result.text)",
                remedy: "see the peer's reason; its policy decides"
            )
        }
        guard outgoing == .awaitingResult else {
            throw ExchangeRules.refusal(
                "exchange.result.early",
                "result frame",
                expected: "none before Evidence",
                got: "an admission"
            )
        }
        outgoing = .settled
    }

    mutating func handleActivation(_ bytes: [UInt8]) throws(Refusal) {
        guard outgoing == .awaitingResult, !wasActivated, let attestation = settings.attestation
        else {
            throw ExchangeRules.refusal(
                "exchange.activation.unexpected",
                "activation frame",
                expected: "at most one, after Evidence",
                got: "another"
            )
        }
        wasActivated = true
        outgoing = .activating
        let credential = try ActivationBody.decode(bytes)
        job = .quote(QuoteJob(attestation: attestation, work: .activate(credential)))
    }
}
