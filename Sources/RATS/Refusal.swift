/// Why a peer, its Evidence or a policy was not accepted.
///
/// One value gives the log line, the metric label (`code` alone), the text of a result frame, the
/// HTTP body and what the command prints, so that every place says the same words. It never holds
/// a secret; what a peer wrote is shortened and made printable.
public struct Refusal: Error, Sendable, Equatable, CustomStringConvertible {
    /// Where in the life of a connection it happened.
    public enum Stage: String, Sendable, CaseIterable {
        /// A policy or setting could not be used.
        case configuration
        /// This machine could not produce Evidence.
        case attestation
        /// The peer broke the rules of the exchange.
        case exchange
        /// The Evidence is not of this connection.
        case binding
        /// The Evidence is malformed or not authentic.
        case evidence
        /// The Evidence is authentic, but not what the policy asks for.
        case policy
        /// The peer refused this side.
        case peer

        /// The number for a result frame, 1 and up.
        public var number: UInt64 {
            switch self {
            case .configuration: 1
            case .attestation: 2
            case .exchange: 3
            case .binding: 4
            case .evidence: 5
            case .policy: 6
            case .peer: 7
            }
        }
    }

    /// A stable name such as `tpm.pcr.mismatch`; safe as a metric label.
    public let code: String
    /// Where in the life of a connection it happened.
    public let stage: Stage
    /// The format of Evidence that it is about, such as `tpm`; `nil` if none in particular.
    public let kind: String?
    /// The field or rule that did not hold.
    public let field: String
    /// What would have been accepted.
    public let expected: String
    /// What was there instead.
    public let got: String
    /// What a person can do about it.
    public let remedy: String

    /// Makes a refusal; texts are shortened to 512 characters and made printable.
    public init(
        _ code: String,
        _ stage: Stage,
        kind: String? = nil,
        field: String,
        expected: String,
        got: String,
        remedy: String
    ) {
        self.code = code
        self.stage = stage
        self.kind = kind
        self.field = Refusal.printable(field)
        self.expected = Refusal.printable(expected)
        self.got = Refusal.printable(got)
        self.remedy = Refusal.printable(remedy)
    }

    /// One line: code, field, expected, got, remedy.
    public var description: String {
        "\(code): \(field): expected \(expected), got \(got) (\(remedy))"
    }

    /// Name and text of every part, in a fixed order, for tables and JSON bodies.
    public var parts: [(name: String, text: String)] {
        [
            ("code", code), ("stage", stage.rawValue), ("kind", kind ?? ""), ("field", field),
            ("expected", expected), ("got", got), ("remedy", remedy),
        ]
    }

    /// `text` in at most `limit` characters, with control characters and line breaks replaced.
    ///
    /// 512 holds five SHA-384 values in hexadecimal; a log line stays one line.
    public static func printable(_ text: String, limit: Int = 512) -> String {
        var output = ""
        for (count, scalar) in text.unicodeScalars.enumerated() {
            guard count < limit else { return output + "…" }
            let isControl = scalar.properties.generalCategory == .control
            let isFormat = scalar.properties.generalCategory == .format
            let breaks = scalar.value == 0x2028 || scalar.value == 0x2029
            output.unicodeScalars.append(isControl || isFormat || breaks ? "?" : scalar)
        }
        return output
    }
}
