internal import Appraisal
public import RATS

/// The direction in which the peer attests.
extension Exchange {
    mutating func handle(_ frame: Frame) throws(Refusal) {
        guard peerChallenge != nil || frame.kind == .challenge || frame.kind == .result else {
            throw ExchangeRules.refusal(
                "exchange.challenge.missing",
                "\(frame.kind) frame",
                expected: "a challenge first",
                got: "none"
            )
        }
        switch frame.kind {
        case .challenge: try handleChallenge(frame.body)
        case .evidence: try handleEvidence(frame.body)
        case .result: try handleResult(frame.body)
        case .activation: try handleActivation(frame.body)
        case .activated: try handleSecret(frame.body)
        case .lease:
            // No binding key is ever listed in a challenge of this side.
            throw ExchangeRules.refusal(
                "exchange.lease.unexpected",
                "lease frame",
                expected: "Evidence, since no binding key is known",
                got: "a lease"
            )
        }
    }

    /// Whether it is the peer's turn to send Evidence: a client's comes after admitting this side.
    var mayTakeEvidence: Bool {
        guard case .awaitingEvidence = incoming else { return false }
        return channel.role == .client || outgoing == .settled
    }

    private mutating func handleEvidence(_ bytes: [UInt8]) throws(Refusal) {
        guard case .awaitingEvidence = incoming else {
            throw ExchangeRules.refusal(
                "exchange.evidence.unsolicited",
                "evidence frame",
                expected: "Evidence once, and where it was asked for",
                got: "another"
            )
        }
        guard mayTakeEvidence else {
            throw ExchangeRules.refusal(
                "exchange.evidence.early",
                "evidence frame",
                expected: "a client to admit this server first",
                got: "its Evidence before that"
            )
        }
        guard let spki = channel.peerSPKI else {
            throw ExchangeRules.refusal(
                "exchange.certificate.missing",
                "peer's certificate",
                expected: "a certificate on the side that attests",
                got: "none"
            )
        }
        let body = try EvidenceBody.decode(bytes)
        let base = try base(
            attester: channel.role.peer,
            attesterKey: spki,
            peerKey: channel.localSPKI,
            challenge: ownChallengeBytes,
            nonce: body.nonce,
            configuration: body.configuration
        )
        heldEvidence = (body, base)
        incoming = .appraising
        beginAppraisal(activations: [])
    }

    private mutating func beginAppraisal(activations: [Activation]) {
        guard let (body, base) = heldEvidence else { return }
        job = .appraise(
            AppraisalJob(
                body: body,
                base: base,
                asks: settings.asks,
                now: now,
                activations: activations
            )
        )
    }

    /// Takes the outcome of an appraisal job.
    public mutating func appraised(_ outcome: Result<AppraisalJob.Outcome, Refusal>) {
        precondition(isJobRunning, "an outcome without a job")
        isJobRunning = false
        guard failure == nil else { return }
        switch outcome {
        case .failure(let refusal):
            guard case .policy(let policy) = settings.asks, policy.mode == .observe else {
                return fail(refusal)
            }
            settle(.observed(refusal))
        case .success(let outcome):
            switch outcome.product {
            case .admitted(let result):
                settle(.attested(result))
            case .inspected(let evidence):
                inspection = evidence
                let looked = Refusal(
                    "policy.inspection",
                    .policy,
                    field: "peer",
                    expected: "a policy",
                    got: "a person who looks",
                    remedy: "connect again with a policy"
                )
                outbox += Frame(.result, ResultBody.refused(looked).encoded).encoded
            case .activation(let pending):
                // One credential per exchange: a second request means the first one proved nothing.
                guard !wasCredentialSent else { return fail(pending.refusal(got: "no proof")) }
                wasCredentialSent = true
                incoming = .awaitingSecret(pending)
                outbox += Frame(.activation, ActivationBody.encode(pending.credential)).encoded
            }
        }
    }

    private mutating func settle(_ standing: AdmittedPeer.Standing) {
        incoming = .settled(standing)
        outbox += Frame(.result, ResultBody.admitted.encoded).encoded
    }

    private mutating func handleSecret(_ bytes: [UInt8]) throws(Refusal) {
        guard case .awaitingSecret(let pending) = incoming else {
            throw ExchangeRules.refusal(
                "exchange.activated.unsolicited",
                "activated frame",
                expected: "a secret where a credential was sent",
                got: "another"
            )
        }
        let activation = try pending.confirm(try ActivationBody.decodeSecret(bytes))
        incoming = .appraising
        beginAppraisal(activations: [activation])
    }

    /// The base for one direction, from this end's view of the connection.
    func base(
        attester: Role,
        attesterKey: [UInt8],
        peerKey: [UInt8]?,
        challenge: [UInt8],
        nonce: [UInt8],
        configuration: [UInt8]
    ) throws(Refusal) -> [UInt8] {
        // One exchange per connection and role, so far: the sequence stays 0.
        try channel.base(
            attester: attester,
            sequence: 0,
            attesterKey: attesterKey,
            peerKey: peerKey,
            challenge: challenge,
            nonce: nonce,
            configuration: configuration
        )
    }
}
