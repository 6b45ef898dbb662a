/// A refusal or a failure as a caller is told it: what, where, expected, got, and what to do.
public struct Failure: Error, Sendable, CustomStringConvertible {
    /// HTTP status that says the same.
    public var status: Int
    /// Stable name, for example `upstream.connect`; also the metric's label.
    public var code: String
    /// One sentence for a person.
    public var message: String
    /// Where it happened: `connect`, `tls`, `attestation`, `request`, `response`.
    public var stage: String
    /// What was looked at, when one thing was.
    public var field: String?
    /// What it should have been.
    public var expected: String?
    /// What it was.
    public var got: String?
    /// What a person can do about it.
    public var remedy: String?
    /// Seconds after which it is worth another try, when that is known.
    public var retryAfter: Int?
    /// The methods that would have been taken, as `Allow` names them (RFC 9110 section 10.2.1).
    public var allowed: String?

    /// Describes one failure.
    public init(
        status: Int, code: String, message: String, stage: String, field: String? = nil,
        expected: String? = nil, got: String? = nil, remedy: String? = nil,
        retryAfter: Int? = nil, allowed: String? = nil
    ) {
        self.status = status
        self.code = code
        self.message = message
        self.stage = stage
        self.field = field
        self.expected = expected
        self.got = got
        self.remedy = remedy
        self.retryAfter = retryAfter
        self.allowed = allowed
    }

    public var description: String {
        var text = "\(code): \(message)"
        if let field { text += "; field \(field)" }
        if let expected { text += "; expected \(expected)" }
        if let got { text += "; got \(got)" }
        if let remedy { text += "; \(remedy)" }
        return text
    }

    /// The error as OpenAI clients read it, with the details that only Ratel has beside.
    public var json: String {
        let details: [(String, String?)] = [
            ("stage", stage), ("field", field), ("expected", expected), ("got", got),
            ("remedy", remedy),
        ]
        let extra = details.compactMap { name, value in
            value.map { ",\"\(name)\":\(Failure.quoted($0))" }
        }
        return "{\"error\":{\"message\":\(Failure.quoted(message)),\"type\":\"ratel_error\","
            + "\"param\":null,\"code\":\(Failure.quoted(code))\(extra.joined())}}"
    }

    /// A JSON string (RFC 8259 section 7).
    public static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

extension Failure {
    static let noBuffer = Failure(
        status: 503, code: "overloaded", message: "every buffer of this worker is in use",
        stage: "connect", remedy: "raise --buffers or lower the load")
    static let wrongPassage = Failure(
        status: 502, code: "passage", message: "a passage of another connection was presented",
        stage: "attestation")
}
