internal import Appraisal
internal import Keys
internal import RATLS
internal import RATS

/// Appraises the Evidence in exports: under the auditor's policies, or whether it is authentic
/// where there are none.
///
/// Each at the time that the router appraised it, with the Endorsements that it had then: nobody
/// is asked.
final class EvidenceJudge {
    /// Who signs offers with one key, as the Evidence has it.
    struct Signer {
        /// The name that a policy admits it by; nil where no policy was applied.
        let peer: String?
        let formats: Set<String>
        /// When it was appraised first, Unix time in seconds.
        let time: Int64
    }

    private let policies: [AppraisalPolicy]
    /// By the SHA-256 of the key, in hexadecimal.
    private(set) var signers: [String: Signer] = [:]

    /// Whether it says no more than that the Evidence is authentic.
    var isLooking: Bool { policies.isEmpty }

    init(_ policies: [AppraisalPolicy]) {
        self.policies = policies
    }

    /// The SHA-256 of the key that a recorded Evidence vouches for.
    ///
    /// Errors: why the last policy does not admit it, where none does.
    func attestedKey(_ line: String) throws(Refusal) -> [UInt8] {
        guard line.utf8.count <= SessionEvidence.maximumSize,
            let value = JSONParser.parse(Array(line.utf8))
        else {
            throw EvidenceJudge.refusal(
                "audit.export.malformed", "evidence.jsonl", "JSON, a value a line",
                "something else", "ask the router for the export as it was written")
        }
        let evidence = try SessionEvidence(reading: value)
        let signer = try judge(evidence)
        guard let key = Provider.Admission.receiptKey(in: JSONParser.parse(evidence.configuration))
        else {
            throw EvidenceJudge.refusal(
                "audit.evidence.key", "receipt_key", "a key that signs offers and receipts",
                "none", "it is not the Evidence of a provider")
        }
        let name = Hex.encode(key)
        if signers[name].map({ $0.time < signer.time }) ?? true { signers[name] = signer }
        return key
    }

    private func judge(_ evidence: SessionEvidence) throws(Refusal) -> Signer {
        for policy in policies.dropLast() {
            if let signer = try? judge(evidence, under: policy) { return signer }
        }
        return try judge(evidence, under: policies.last)
    }

    private func judge(
        _ evidence: SessionEvidence, under policy: AppraisalPolicy?
    ) throws(Refusal) -> Signer {
        let outcome = try evidence.job(under: policy).run().get()
        let result = try outcome.result()
        let shown = result?.evidence ?? outcome.inspected
        return Signer(
            peer: result?.peer, formats: Set(shown.map(\.format.rawValue)), time: evidence.time)
    }

    private static func refusal(
        _ code: String, _ field: String, _ expected: String, _ got: String, _ remedy: String
    ) -> Refusal {
        Refusal(code, .evidence, field: field, expected: expected, got: got, remedy: remedy)
    }
}
