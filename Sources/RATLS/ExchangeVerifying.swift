internal import Appraisal
internal import Keys
public import RATS

/// The direction in which the peer attests.
extension Exchange {
    mutating func handle(_ frame: Frame) throws(Refusal) {
        guard
            peerChallenge != nil || frame.kind == .challenge || frame.kind == .result
                || purpose == .renewing
        else {
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
        case .lease: try handleLease(frame.body)
        }
    }

    /// Whether it is the peer's turn to send Evidence: a client's comes after admitting this side.
    var mayTakeEvidence: Bool {
        guard case .awaitingEvidence = incoming else { return false }
        return channel.role == .client || outgoing == .settled || purpose == .renewing
    }

    /// The peer's key, where Evidence or a lease may come now.
    private func turn(_ frame: String) throws(Refusal) -> [UInt8] {
        guard case .awaitingEvidence = incoming else {
            throw ExchangeRules.refusal(
                "exchange.evidence.unsolicited",
                frame,
                expected: "Evidence once, and where it was asked for",
                got: "another"
            )
        }
        guard mayTakeEvidence else {
            throw ExchangeRules.refusal(
                "exchange.evidence.early",
                frame,
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
        return spki
    }

    private mutating func handleLease(_ bytes: [UInt8]) throws(Refusal) {
        let spki = try turn("lease frame")
        guard !leases.isEmpty else {
            // No binding key was listed in the challenge that this would answer.
            throw ExchangeRules.refusal(
                "exchange.lease.unexpected",
                "lease frame",
                expected: "Evidence, since no binding key was listed",
                got: "a lease"
            )
        }
        let body = try LeaseBody.decode(bytes)
        guard
            let lease = leases.first(where: { $0.keyHash == body.keyHash }),
            lease.configurationHash == body.configurationHash,
            // It was young when it was listed; an answer may take the whole exchange.
            receivedAt < lease.until
        else {
            return askAgain()
        }
        let base = Binding.base(try peerInputs(spki, body.nonce, body.configurationHash))
        guard lease.bindingKey.verifies(raw: body.signature, over: Binding.leaseToSign(base: base))
        else {
            throw ExchangeRules.refusal(
                "binding.lease.invalid",
                "signature of the lease frame",
                expected: "one over this connection's exporter, keys, nonces and configuration",
                got: "another",
                stage: .binding
            )
        }
        wasLeased = true
        askedAt = lease.askedAt
        settle(.attested(lease.result))
    }

    /// The peer is not quite what was known of it: only Evidence will do, and no lease is listed
    /// that could be wrong a second time.
    private mutating func askAgain() {
        outbox += challenge(settings.asks.kinds, [])
    }

    private mutating func handleEvidence(_ bytes: [UInt8]) throws(Refusal) {
        let spki = try turn("evidence frame")
        let body = try EvidenceBody.decode(bytes)
        heldEvidence = (
            body, try peerInputs(spki, body.nonce, Digest.sha384(body.configuration))
        )
        incoming = .appraising
        beginAppraisal(activations: [])
    }

    /// What the peer's direction is bound to, for this side's last challenge.
    private func peerInputs(
        _ spki: [UInt8], _ nonce: [UInt8], _ configurationHash: [UInt8]
    ) throws(Refusal) -> Binding.Inputs {
        try channel.inputs(
            attester: channel.role.peer,
            attesterKey: spki,
            peerKey: channel.localSPKI,
            challenge: ownChallengeBytes,
            sequence: ownSequence,
            nonce: nonce,
            configurationHash: configurationHash
        )
    }

    private mutating func beginAppraisal(activations: [Activation]) {
        guard let (body, inputs) = heldEvidence else { return }
        job = .appraise(
            AppraisalJob(
                body: body,
                base: Binding.base(inputs),
                asks: settings.asks,
                now: moment.unix,
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
            askedAt = moment.uptime
            wasLeased = false
            settle(.observed(refusal))
        case .success(let outcome):
            switch outcome.product {
            case .admitted(let result, let key):
                keep(outcome.endorsements)
                remember(result, key)
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

    /// Keeps what was admitted for others to appraise, where that is asked for.
    private mutating func keep(_ endorsements: [Endorsement]?) {
        guard settings.keepsEvidence, let (body, inputs) = heldEvidence else { return }
        kept = SessionEvidence(body, inputs, endorsements: endorsements, time: moment.unix)
    }

    private mutating func remember(_ result: AttestationResult, _ key: PublicKey) {
        askedAt = moment.uptime
        wasLeased = false
        guard let body = heldEvidence?.body, result.maxAge > 0 else { return }
        earned = Lease(
            bindingKey: key,
            keyHash: Digest.sha256(body.bindingKey),
            configurationHash: Digest.sha384(body.configuration),
            result: result,
            askedAt: askedAt
        )
        heldEvidence = nil
    }

    private mutating func settle(_ standing: AdmittedPeer.Standing) {
        incoming = .settled(standing)
        var seconds: UInt64 = 0
        if case .attested(let result) = standing {
            let until = result.end(askedAt: askedAt)
            seconds = until > moment.uptime ? (until - moment.uptime) / 1_000 : 0
        }
        outbox += Frame(.result, ResultBody.admitted(leaseSeconds: seconds).encoded).encoded
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
}
