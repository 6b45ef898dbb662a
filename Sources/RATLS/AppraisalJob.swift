public import Appraisal
internal import Keys
public import RATS

/// The appraisal of one evidence frame: pure computation, but too slow for an event loop.
public struct AppraisalJob: Sendable {
    /// What came of it.
    public struct Outcome: Sendable {
        enum Product: Sendable {
            case admitted(AttestationResult, bindingKey: PublicKey)
            case activation(PendingActivation)
            case inspected([AuthenticEvidence])
        }

        let product: Product
        /// What it was appraised with; nil where that is what the peer sent.
        let endorsements: [Endorsement]?

        init(product: Product, endorsements: [Endorsement]? = nil) {
            self.product = product
            self.endorsements = endorsements
        }

        /// What was only looked at; empty where a policy decided.
        public var inspected: [AuthenticEvidence] {
            if case .inspected(let evidence) = product { evidence } else { [] }
        }

        /// What the policy makes of it; nil where it was only looked at.
        ///
        /// Errors: `tpm.activation.offline` where the TPM would have to prove more.
        public func result() throws(Refusal) -> AttestationResult? {
            switch product {
            case .admitted(let result, _): result
            case .inspected: nil
            case .activation: throw .offlineActivation
            }
        }
    }

    let body: EvidenceBody
    let base: [UInt8]
    let asks: ExchangeSettings.Asks
    let now: Int64
    let activations: [Activation]

    /// The collateral that the Evidence cannot be appraised without; none where nothing is
    /// decided, and none for Evidence of another connection, for which nobody is asked. Checks
    /// signatures: away from event loops.
    public func needs(roots: CollateralRoots) -> [CollateralNeed] {
        guard case .policy = asks, (try? expectedBinding()) != nil else { return [] }
        return CollateralNeed.of(body.evidence, roots: roots, now: now)
    }

    /// What the peer sent of it, beside its Evidence and within.
    public var endorsements: [Endorsement] {
        body.endorsements + CollateralNeed.carried(by: body.evidence)
    }

    /// Checks that the Evidence is of this connection, and appraises it with `endorsements`: those
    /// of the peer unless others are given. A result that is in `cache` is taken from there.
    public func run(
        endorsements: [Endorsement]? = nil, cache: AppraisalCache? = nil
    ) -> Result<Outcome, Refusal> {
        do throws(Refusal) {
            return .success(
                Outcome(product: try appraise(endorsements, cache), endorsements: endorsements))
        } catch {
            return .failure(error)
        }
    }

    private func appraise(
        _ endorsements: [Endorsement]?, _ cache: AppraisalCache?
    ) throws(Refusal) -> Outcome.Product {
        let (expected, bindingKey) = try expectedBinding()
        let submission = Appraiser.Submission(
            evidence: body.evidence,
            endorsements: endorsements ?? body.endorsements,
            configuration: body.configuration
        )
        guard case .policy(let policy) = asks else {
            return .inspected(try Appraiser.authenticate(submission, expected: expected))
        }
        // What rests on a secret that this connection's TPM opened is of this connection alone.
        let key =
            activations.isEmpty && cache != nil
            ? AppraisalCache.key(submission, expected, policy: policy) : nil
        if let key, let result = cache?.result(key, now: now) {
            return .admitted(result, bindingKey: bindingKey)
        }
        let outcome = try Appraiser.appraise(
            submission,
            expected: expected,
            policy: policy,
            now: now,
            activations: activations
        )
        switch outcome {
        case .admitted(let result):
            if let key { cache?.keep(result, as: key) }
            return .admitted(result, bindingKey: bindingKey)
        case .activation(let request): return .activation(try request.makeCredential())
        }
    }

    // The signature first: it ties the frame to this connection at the cost of one check.
    private func expectedBinding() throws(Refusal) -> (Appraiser.ExpectedBinding, PublicKey) {
        let manifest = Binding.manifest(of: body.evidence)
        let text = Binding.evidenceToSign(base: base, manifest: manifest)
        guard let key = try? PublicKey(spki: body.bindingKey), key.algorithm == .p256 else {
            throw ExchangeRules.refusal(
                "binding.key.malformed",
                "binding key",
                expected: "a P-256 key",
                got: "another",
                stage: .binding
            )
        }
        guard key.verifies(raw: body.signature, over: text) else {
            throw ExchangeRules.refusal(
                "binding.signature.invalid",
                "signature of the evidence frame",
                expected: "one over this connection's exporter, keys, nonces and configuration",
                got: "another",
                stage: .binding
            )
        }
        guard let top = MerkleTree.root(leaf: Binding.leaf(base), path: body.path) else {
            throw ExchangeRules.refusal(
                "binding.path.malformed",
                "Merkle path",
                expected: "at most 16 steps and sides",
                got: "another",
                stage: .binding
            )
        }
        let root = Binding.root(
            merkleRoot: top,
            bindingKeyHash: Digest.sha256(body.bindingKey)
        )
        // GPUs and switches are numbered from 0 without a gap: no index is past their number.
        let devices = body.evidence.filter { $0.kind == .gpu }.indices
        let expected = Appraiser.ExpectedBinding(
            reportData: Binding.reportData(root: root, manifest: manifest),
            tpmQualifyingData: Binding.tpmQualifyingData(root: root),
            nitro: .init(nonce: root, publicKey: body.bindingKey),
            gpuNonces: devices.map { Binding.gpuNonce(index: UInt32($0), root: root) }
        )
        return (expected, key)
    }
}

extension Refusal {
    /// Who only reads what was recorded cannot ask a TPM for more.
    public static let offlineActivation = Refusal(
        "tpm.activation.offline", .policy, kind: "tpm", field: "credential activation",
        expected: "a connection to the machine", got: "a record of its Evidence",
        remedy: "verify HOST:PORT, or pin the attestation key in the policy (tpm.ak)")
}
