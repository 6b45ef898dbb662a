internal import Keys
public import RATS

/// The direction in which this side attests.
extension Exchange {
    // The server attests first: a client must not show itself to a server it has not admitted.
    var mayAttest: Bool {
        if channel.role == .server || purpose == .renewing { return true }
        if case .settled = incoming { return true }
        return false
    }

    /// Whether another challenge may come now.
    private var mayBeChallenged: Bool {
        switch purpose {
        case .opening: peerChallenge == nil
        case .renewing:
            outgoing == .settled
                && challengedAt.map { receivedAt - $0 >= Exchange.challengeInterval } ?? true
        }
    }

    mutating func handleChallenge(_ bytes: [UInt8]) throws(Refusal) {
        let challenge = try ChallengeBody.decode(bytes)
        if hasLeased, outgoing == .awaitingResult, challenge.question?.knownKeys.isEmpty == true {
            // The lease was not of what the peer knew: it asks for Evidence, once.
            hasLeased = false
        } else {
            guard mayBeChallenged else {
                throw ExchangeRules.refusal(
                    "exchange.challenge.repeated",
                    "challenge",
                    expected: purpose == .opening ? "one" : "one at a time, and one in 10 s",
                    got: "a second"
                )
            }
            guard challenge.question != nil || purpose == .opening else {
                throw ExchangeRules.refusal(
                    "exchange.challenge.empty",
                    "challenge",
                    expected: "a question on an open connection",
                    got: "none"
                )
            }
            challengedAt = receivedAt
            wasActivated = false
        }
        peerChallenge = (bytes, challenge.question)
        guard let question = challenge.question else {
            outgoing = .settled
            return
        }
        peerSequence = counts.answered
        counts.answered += 1
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

    mutating func attest() {
        guard let challenge = peerChallenge, let question = challenge.question else { return }
        ownNonce = SecureRandom.bytes(Binding.nonceSize)
        do throws(Refusal) {
            let attestation = try settings.mustAttest()
            let inputs = try channel.inputs(
                attester: channel.role,
                attesterKey: try channel.mustHaveKey(),
                peerKey: channel.peerSPKI,
                challenge: challenge.bytes,
                sequence: peerSequence,
                nonce: ownNonce,
                configurationHash: settings.configurationHash
            )
            let base = Binding.base(inputs)
            if lease(question, base, attestation.bindingKeys) { return }
            outgoing = .quoting
            job = .quote(QuoteJob(attestation: attestation, work: .quote(base: base)))
        } catch {
            fail(error)
        }
    }

    /// Answers with a lease where the peer knows a binding key that still signs them.
    private mutating func lease(
        _ question: ChallengeBody.Question, _ base: [UInt8], _ keys: BindingKeys
    ) -> Bool {
        for hash in question.knownKeys {
            guard let signature = keys.lease(hash, base: base) else { continue }
            let body = LeaseBody(
                nonce: ownNonce,
                keyHash: hash,
                configurationHash: settings.configurationHash,
                signature: signature
            )
            outbox += Frame(.lease, body.encoded).encoded
            outgoing = .awaitingResult
            hasLeased = true
            return true
        }
        return false
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
            case .evidence(let quoted): sendEvidence(quoted)
            case .secret(let secret):
                outbox += Frame(.activated, ActivationBody.encode(secret: secret)).encoded
                outgoing = .awaitingResult
            }
        }
    }

    private mutating func sendEvidence(_ quoted: QuotedEvidence) {
        let body = quoted.body(nonce: ownNonce, configuration: settings.configuration)
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
                remedy: result.remedy
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
        hasLeased = false
    }

    mutating func handleActivation(_ bytes: [UInt8]) throws(Refusal) {
        guard outgoing == .awaitingResult, !wasActivated, !hasLeased,
            let attestation = settings.attestation
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
