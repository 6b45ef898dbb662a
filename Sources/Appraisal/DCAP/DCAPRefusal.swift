internal import RATS

/// Refusals of DCAP Evidence, under codes of their own.
enum DCAPRefusal {
    static func evidence(
        _ code: String, _ field: String, _ expected: String, _ got: String,
        _ remedy: String = "have the platform produce a new quote"
    ) -> Refusal {
        Refusal(
            "dcap." + code, .evidence, kind: "dcap", field: field, expected: expected, got: got,
            remedy: remedy)
    }

    static func collateral(
        _ code: String, _ field: String, _ expected: String, _ got: String
    ) -> Refusal {
        evidence(
            code, field, expected, got, "fetch current collateral of this platform from Intel's PCS"
        )
    }

    static func policy(
        _ code: String, _ field: String, _ expected: String, _ got: String, _ remedy: String
    ) -> Refusal {
        Refusal(
            "dcap." + code, .policy, kind: "dcap", field: field, expected: expected, got: got,
            remedy: remedy)
    }

    static let malformed = evidence(
        "quote.malformed", "layout", "its declared lengths", "others")
}
