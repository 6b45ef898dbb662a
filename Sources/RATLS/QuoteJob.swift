internal import Keys
public import RATS

/// Work for the Attester, which blocks: run it away from event loops, one at a time.
public struct QuoteJob: Sendable {
    enum Work: Sendable {
        case quote(base: [UInt8])
        case activate(CredentialChallenge)
    }

    /// What came of the work.
    public struct Outcome: Sendable {
        enum Product: Sendable {
            case evidence(QuotedEvidence)
            case secret([UInt8])
        }

        let product: Product
    }

    let attestation: ExchangeSettings.Attestation
    let work: Work

    /// Whether it makes Evidence; the other kind opens a credential that the peer made.
    public var isQuote: Bool {
        if case .quote = work { true } else { false }
    }

    /// Whether one quote can serve both: they are over the same binding key.
    public func sharesQuote(with other: QuoteJob) -> Bool {
        isQuote && other.isQuote
            && attestation.bindingKeys === other.attestation.bindingKeys
    }

    /// Asks the Attester and signs, or says why that failed.
    public func run() -> Result<Outcome, Refusal> { QuoteJob.run([self])[0] }

    /// Runs jobs that share one quote, or a single one; answers an outcome for each.
    ///
    /// Up to `MerkleTree.maxLeaves` of them. Their order in the tree is drawn by lot: a place would
    /// tell each peer how many asked before it (protocol.md, "Batching").
    public static func run(_ jobs: [QuoteJob]) -> [Result<Outcome, Refusal>] {
        guard let first = jobs.first else { return [] }
        do throws(Refusal) {
            if case .activate(let credential) = first.work {
                let secret = try first.attestation.attester.activate(credential)
                return [.success(Outcome(product: .secret(secret)))]
            }
            var bases: [[UInt8]] = []
            for job in jobs {
                if case .quote(let base) = job.work { bases.append(base) }
            }
            precondition(bases.count == jobs.count, "a quote is shared by quotes alone")
            let order = bases.indices.shuffled()
            let made = try quote(order.map { bases[$0] }, first.attestation)
            var outcomes: [Result<Outcome, Refusal>] = Array(
                repeating: .failure(BindingKeys.failure), count: bases.count)
            for (place, index) in order.enumerated() {
                outcomes[index] = .success(Outcome(product: .evidence(made[place])))
            }
            return outcomes
        } catch {
            return jobs.map { _ in .failure(error) }
        }
    }

    /// One quote over the leaves of several connections, and what each of them sends.
    private static func quote(
        _ bases: [[UInt8]],
        _ attestation: ExchangeSettings.Attestation
    ) throws(Refusal) -> [QuotedEvidence] {
        let tree = MerkleTree(leaves: bases.map(Binding.leaf))
        let key = try attestation.bindingKeys.forQuote()
        let spki = key.spki
        let root = Binding.root(merkleRoot: tree.root, bindingKeyHash: key.hash)
        let evidence = try attestation.attester.quote(
            QuoteChallenge(
                tpmQualifyingData: Binding.tpmQualifyingData(root: root),
                gpuNonce: { Binding.gpuNonce(index: $0, root: root) },
                reportData: { Binding.reportData(root: root, manifest: Binding.manifest(of: $0)) },
                nitro: .init(nonce: root, publicKey: spki)
            )
        )
        let endorsements = try attestation.attester.endorsements()
        let manifest = Binding.manifest(of: evidence)
        var made: [QuotedEvidence] = []
        for (index, base) in bases.enumerated() {
            made.append(
                QuotedEvidence(
                    evidence: evidence,
                    endorsements: endorsements,
                    bindingKey: spki,
                    path: tree.path(of: index),
                    signature: try key.sign(base: base, manifest: manifest)
                )
            )
        }
        return made
    }
}

/// What one quote gives one of the connections that it covers.
struct QuotedEvidence: Sendable {
    let evidence: [Evidence]
    let endorsements: [Endorsement]
    /// SubjectPublicKeyInfo of the binding key, DER.
    let bindingKey: [UInt8]
    let path: MerkleTree.Path
    let signature: [UInt8]

    /// The body of the evidence frame.
    func body(nonce: [UInt8], configuration: [UInt8]) -> EvidenceBody {
        EvidenceBody(
            nonce: nonce,
            evidence: evidence,
            bindingKey: bindingKey,
            path: path,
            configuration: configuration,
            endorsements: endorsements,
            signature: signature
        )
    }
}

extension Binding {
    /// M over all Evidence but that which holds report_data, and so M, itself.
    static func manifest(of evidence: [Evidence]) -> [UInt8] {
        manifest(
            evidence.filter { !$0.kind.carriesReportData }.map {
                ManifestEntry(kind: $0.kind.rawValue, index: $0.index, bytes: $0.bytes)
            }
        )
    }
}
