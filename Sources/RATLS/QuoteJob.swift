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
            case evidence([Evidence], [Endorsement], MerkleTree.Path, signature: [UInt8])
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

    /// Asks the Attester and signs, or says why that failed.
    public func run() -> Result<Outcome, Refusal> {
        do throws(Refusal) {
            switch work {
            case .quote(let base):
                return .success(try QuoteJob.quote([base], attestation)[0])
            case .activate(let credential):
                let secret = try attestation.attester.activate(credential)
                return .success(Outcome(product: .secret(secret)))
            }
        } catch {
            return .failure(error)
        }
    }

    /// One quote over the leaves of several connections, and what each of them sends.
    static func quote(
        _ bases: [[UInt8]],
        _ attestation: ExchangeSettings.Attestation
    ) throws(Refusal) -> [Outcome] {
        let tree = MerkleTree(leaves: bases.map(Binding.leaf))
        let root = Binding.root(
            merkleRoot: tree.root,
            bindingKeyHash: Digest.sha256(attestation.bindingKey.spki)
        )
        let evidence = try attestation.attester.quote(
            QuoteChallenge(
                tpmQualifyingData: Binding.tpmQualifyingData(root: root),
                gpuNonce: { Binding.gpuNonce(index: $0, root: root) },
                reportData: { Binding.reportData(root: root, manifest: Binding.manifest(of: $0)) },
                nitro: .init(nonce: root, publicKey: attestation.bindingKey.spki)
            )
        )
        let endorsements = try attestation.attester.endorsements()
        let manifest = Binding.manifest(of: evidence)
        var outcomes: [Outcome] = []
        for (index, base) in bases.enumerated() {
            let text = Binding.evidenceToSign(base: base, manifest: manifest)
            guard let signature = try? attestation.bindingKey.signRaw(text) else {
                throw Refusal(
                    "attester.binding_key.failed",
                    .attestation,
                    field: "binding key",
                    expected: "a signature",
                    got: "none",
                    remedy: "report this"
                )
            }
            let product = Outcome.Product.evidence(
                evidence,
                endorsements,
                tree.path(of: index),
                signature: signature
            )
            outcomes.append(Outcome(product: product))
        }
        return outcomes
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
