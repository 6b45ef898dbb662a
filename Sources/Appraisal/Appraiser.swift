internal import Keys
public import RATS

/// The Verifier, RFC 9334 section 7.2: Evidence, Endorsements, policy and time in, a result out.
///
/// A pure function: no socket, no clock, no file; so every result can be replayed and fuzzed.
public enum Appraiser {
    /// What the Evidence of one connection has to cover; the Relying Party computes it from its
    /// own end of the connection.
    public struct ExpectedBinding: Sendable, Equatable {
        /// The report_data of a CPU, 64 bytes.
        public let reportData: [UInt8]
        /// The qualifying data of a TPM quote, 32 bytes.
        public let tpmQualifyingData: [UInt8]
        /// What a Nitro document covers besides; without it such a document is refused.
        public let nitro: Nitro?
        /// The SPDM nonces of GPUs and switches by index, 32 bytes each; a device whose index is
        /// not among them is refused.
        public let gpuNonces: [[UInt8]]

        /// What a Nitro document covers.
        public enum Nitro: Sendable, Equatable {
            /// Beside report_data, of a connection: the root, 48 bytes, and the
            /// SubjectPublicKeyInfo of the binding key, DER (protocol.md, "Binding").
            case channel(nonce: [UInt8], publicKey: [UInt8])
            /// In the static tier: this user_data, and what else it likes.
            case userDataAlone([UInt8])

            /// Pairs root and binding key, which must not be empty.
            public init(nonce: [UInt8], publicKey: [UInt8]) {
                precondition(
                    !nonce.isEmpty && !publicKey.isEmpty,
                    "an empty expectation would compare with nothing"
                )
                self = .channel(nonce: nonce, publicKey: publicKey)
            }

            /// All of it, so that two expectations are one exactly when these are.
            public var bytes: [UInt8] {
                switch self {
                case .channel(let nonce, let publicKey):
                    [0] + Digest.sha256(nonce) + Digest.sha256(publicKey)
                case .userDataAlone(let userData): [1] + Digest.sha256(userData)
                }
            }
        }

        /// Collects the values, which must have their lengths.
        public init(
            reportData: [UInt8],
            tpmQualifyingData: [UInt8],
            nitro: Nitro? = nil,
            gpuNonces: [[UInt8]] = []
        ) {
            precondition(
                reportData.count == 64 && tpmQualifyingData.count == 32
                    && gpuNonces.allSatisfy { $0.count == 32 },
                "an expectation of another length would compare with nothing"
            )
            self.reportData = reportData
            self.tpmQualifyingData = tpmQualifyingData
            self.nitro = nitro
            self.gpuNonces = gpuNonces
        }
    }

    /// What a peer handed in.
    public struct Submission: Sendable {
        /// Its Evidence.
        public let evidence: [Evidence]
        /// Its Endorsements.
        public let endorsements: [Endorsement]
        /// Its effective configuration as sent: a JSON object.
        public let configuration: [UInt8]

        /// Collects what a peer handed in.
        public init(evidence: [Evidence], endorsements: [Endorsement], configuration: [UInt8]) {
            self.evidence = evidence
            self.endorsements = endorsements
            self.configuration = configuration
        }
    }

    /// How an appraisal went, if it did not end in a refusal.
    public enum Outcome: Sendable {
        /// Everything holds.
        case admitted(AttestationResult)
        /// All else holds, but the TPM has yet to prove that it has both keys.
        case activation(ActivationRequest)
    }

    /// The most pieces of Evidence that one peer may hand in: 16 GPUs, their switches, a CPU and
    /// a vTPM come to below 32.
    public static let maxEvidence = 32

    /// Appraises what a peer handed in under `policy` at the Unix time `now`.
    ///
    /// The first part of the policy that admits the peer decides. If none does, the refusal is
    /// that of the part which came furthest.
    public static func appraise(
        _ submission: Submission,
        expected: ExpectedBinding,
        policy: AppraisalPolicy,
        now: Int64,
        activations: [Activation] = []
    ) throws(Refusal) -> Outcome {
        try decide(
            try authenticate(submission, expected: expected),
            endorsements: submission.endorsements,
            configuration: submission.configuration,
            policy: policy,
            now: now,
            activations: activations
        )
    }

    /// What `policy` makes of Evidence that is authentic.
    static func decide(
        _ authentic: [AuthenticEvidence],
        endorsements: [Endorsement],
        configuration sent: [UInt8],
        policy: AppraisalPolicy,
        now: Int64,
        tier: AttestationResult.Tier = .session,
        activations: [Activation] = []
    ) throws(Refusal) -> Outcome {
        guard let configuration = JSONParser.parse(sent),
            configuration.members != nil
        else {
            throw Refusal(
                "configuration.malformed",
                .evidence,
                field: "effective configuration",
                expected: "a JSON object",
                got: "\(sent.count) other bytes",
                remedy: "update the peer"
            )
        }
        guard case .appraised(let peers) = policy.peers, !peers.isEmpty else {
            throw Refusal(
                "policy.peer.none",
                .policy,
                field: "peers",
                expected: "a peer in the policy",
                got: "a policy that accepts nobody",
                remedy: "add the peer to `peers`"
            )
        }
        var furthest: PeerAppraisal.Mismatch?
        for peer in peers {
            let appraisal = PeerAppraisal(
                peer: peer,
                evidence: authentic,
                endorsements: endorsements,
                configuration: configuration,
                tier: tier,
                now: now,
                activations: activations
            )
            do throws(PeerAppraisal.Mismatch) {
                let admission = try appraisal.run()
                if let request = admission.request { return .activation(request) }
                return .admitted(
                    AttestationResult(
                        peer: peer.name,
                        tier: tier,
                        policyDigest: policy.digest,
                        evidence: authentic,
                        configuration: sent,
                        appraisedAt: now,
                        maxAge: peer.maxAge,
                        validUntil: admission.validUntil
                    )
                )
            } catch {
                if error.step >= furthest?.step ?? 0 { furthest = error }
            }
        }
        guard let furthest else { preconditionFailure("no peer admitted, and none refused") }
        throw furthest.refusal
    }

    /// Checks structure, signatures and binding of what a peer handed in, and decodes its claims.
    ///
    /// For looking at a machine before there is a policy for it: the keys are not trusted, and
    /// nothing opens.
    public static func authenticate(
        _ submission: Submission,
        expected: ExpectedBinding
    ) throws(Refusal) -> [AuthenticEvidence] {
        guard (1...maxEvidence).contains(submission.evidence.count) else {
            throw Refusal(
                "evidence.count.refused",
                .evidence,
                field: "evidence",
                expected: "1 to \(maxEvidence) pieces",
                got: "\(submission.evidence.count)",
                remedy: "update the peer"
            )
        }
        // Evidence that holds the manifest is not in it: its index is bound by being the only one.
        let roots = submission.evidence.filter { $0.kind.carriesReportData }
        guard roots.count <= 1, roots.allSatisfy({ $0.index == 0 }) else {
            throw Refusal(
                "evidence.index.refused",
                .evidence,
                field: "index",
                expected: "at most one piece with report_data, index 0",
                got: roots.map { "\($0.kind) \($0.index)" }.joined(separator: ", "),
                remedy: "update the peer"
            )
        }
        var authentic: [AuthenticEvidence] = []
        for evidence in submission.evidence {
            authentic.append(
                try authenticate(
                    evidence,
                    endorsements: submission.endorsements,
                    expected: expected
                )
            )
        }
        return authentic
    }

    private static func authenticate(
        _ evidence: Evidence,
        endorsements: [Endorsement],
        expected: ExpectedBinding
    ) throws(Refusal) -> AuthenticEvidence {
        guard let format = EvidenceFormat(mediaType: evidence.mediaType),
            format.kind == evidence.kind
        else {
            throw Refusal(
                "evidence.format.unknown",
                .evidence,
                field: "media type",
                expected: EvidenceFormat.allCases.map(\.mediaType).joined(separator: " or "),
                got: evidence.mediaType,
                remedy: "update this side, or have the peer send another"
            )
        }
        switch format {
        case .simulated: return try SimulatedEvidence.authenticate(evidence, expected: expected)
        case .tpm: return try TPMEvidence.authenticate(evidence, expected: expected)
        case .tdx, .sgx:
            return try DCAPEvidence.authenticate(
                evidence, format: format, endorsements: endorsements, expected: expected)
        case .snp:
            return try SNPEvidence.authenticate(
                evidence,
                endorsements: endorsements,
                expected: expected
            )
        case .nitro: return try NitroEvidence.authenticate(evidence, expected: expected)
        case .cca: return try CCAEvidence.authenticate(evidence, expected: expected)
        case .nvidiaGPU:
            return try NVIDIAEvidence.authenticate(evidence, of: .gpu, expected: expected)
        case .nvidiaSwitch:
            return try NVIDIAEvidence.authenticate(evidence, of: .nvswitch, expected: expected)
        case .result: throw ResultToken.unbound
        }
    }
}
