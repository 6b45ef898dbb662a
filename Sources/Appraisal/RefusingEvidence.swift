internal import RATS

/// Evidence of one format, which refuses in that format's name.
protocol RefusingEvidence: Sendable {
    static var format: EvidenceFormat { get }
}

extension RefusingEvidence {
    /// A refusal of this Evidence; the remedy for what contradicts itself unless another is given.
    static func refusal(
        _ code: String, _ stage: Refusal.Stage, _ field: String, _ expected: String,
        _ got: String,
        _ remedy: String = "the Evidence does not agree with itself; look at the machine"
    ) -> Refusal {
        Refusal(
            code, stage, kind: format.rawValue, field: field, expected: expected, got: got,
            remedy: remedy)
    }
}
