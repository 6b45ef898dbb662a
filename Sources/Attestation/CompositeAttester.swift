public import RATS

/// Several roots of trust of one machine: the one whose Evidence holds report_data covers the
/// Evidence of the others, protocol.md, "Binding" (M).
public struct CompositeAttester: Attester {
    private let attesters: [any Attester]

    /// Joins attesters of different kinds, of which at most one holds report_data.
    ///
    /// Errors: two that would both hold it, or of one kind.
    public init(_ attesters: [any Attester]) throws(Refusal) {
        let kinds = attesters.flatMap(\.kinds)
        guard Set(kinds).count == kinds.count,
            kinds.filter(\.carriesReportData).count <= 1
        else {
            throw Refusal(
                "attester.composite", .configuration, field: "attester",
                expected: "at most one CPU or enclave, and each kind once",
                got: attesters.map(\.name).joined(separator: ", "),
                remedy: "name one of tdx, snp, sgx, nitro and simulated, and tpm beside it")
        }
        // Those that the report_data covers come first.
        self.attesters =
            attesters.filter { !$0.kinds.contains(where: \.carriesReportData) }
            + attesters.filter { $0.kinds.contains(where: \.carriesReportData) }
    }

    public var name: String { attesters.map(\.name).joined(separator: " + ") }
    public var kinds: [EvidenceKind] { attesters.flatMap(\.kinds) }
    public var isSimulated: Bool { attesters.contains(where: \.isSimulated) }

    public func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence] {
        var evidence: [Evidence] = []
        for attester in attesters {
            evidence += try attester.quote(challenge.including(evidence))
        }
        return evidence
    }

    public func endorsements() throws(Refusal) -> [Endorsement] {
        var endorsements: [Endorsement] = []
        for attester in attesters { endorsements += try attester.endorsements() }
        return endorsements
    }

    public func activate(_ credential: CredentialChallenge) throws(Refusal) -> [UInt8] {
        guard let tpm = attesters.first(where: { $0.kinds.contains(.tpm) }) else {
            throw Refusal(
                "attester.activation.unsupported", .attestation, field: "credential activation",
                expected: "a TPM", got: name,
                remedy: "ask this peer for Evidence without endorsement keys")
        }
        return try tpm.activate(credential)
    }
}
