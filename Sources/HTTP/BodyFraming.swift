/// How the length of a message's body is known, RFC 9112 section 6.3.
@frozen public enum BodyFraming: Sendable, Equatable {
    /// There is no body.
    case none
    /// The body has this many bytes.
    case length(UInt64)
    /// The body is a sequence of chunks.
    case chunked
    /// The body ends with the connection; responses only.
    case untilClose
}

extension BodyFraming {
    /// What the fields of a request say.
    static func ofRequest(_ fields: HTTPFields, minorVersion: Int) throws(HTTPRefusal)
        -> BodyFraming
    {
        try declared(fields, minorVersion: minorVersion) ?? .none
    }

    /// What the fields of a response say, given its status and the request's method.
    static func ofResponse(
        _ fields: HTTPFields,
        minorVersion: Int,
        status: Int,
        requestMethod: String
    ) throws(HTTPRefusal) -> BodyFraming {
        let declared = try declared(fields, minorVersion: minorVersion)
        if status < 200 || status == 204 {
            // RFC 9112 section 6.2 forbids both fields here; a zero length is seen in use and
            // harmless, anything else could be read as a body by another parser.
            guard declared == nil || declared == .length(0) else {
                throw .bad("http.response.body", "no body for status \(status)", "a framing field")
            }
            return .none
        }
        if status == 304 || requestMethod == "HEAD" { return .none }
        return declared ?? .untilClose
    }

    private static func declared(_ fields: HTTPFields, minorVersion: Int) throws(HTTPRefusal)
        -> BodyFraming?
    {
        let codings = fields.entries.filter { fields.matches($0, "transfer-encoding") }
        let lengths = fields.entries.filter { fields.matches($0, "content-length") }
        if !codings.isEmpty && !lengths.isEmpty {
            throw .bad(
                "http.framing.both",
                "one of Content-Length and Transfer-Encoding",
                "both"
            )
        }
        if !codings.isEmpty {
            guard minorVersion == 1 else {
                throw .bad(
                    "http.transfer_encoding.version",
                    "no Transfer-Encoding in HTTP/1.0",
                    "one"
                )
            }
            try checkCodings(fields)
            return .chunked
        }
        guard let first = lengths.first else { return nil }
        guard lengths.count == 1 else {
            throw .bad(
                "http.content_length.repeated",
                "one Content-Length",
                "\(lengths.count) of them"
            )
        }
        return .length(try length(fields.storage[first.value]))
    }

    /// Exactly one member, `chunked`, over all lines of the field.
    private static func checkCodings(_ fields: HTTPFields) throws(HTTPRefusal) {
        var members = 0
        var chunked = 0
        var malformed = false
        var chunkedIsLast = false
        fields.forEachMember(of: "transfer-encoding") { member in
            members += 1
            chunkedIsLast = fields.equals(member, "chunked")
            if chunkedIsLast { chunked += 1 }
            if member.isEmpty || !fields.storage[member].allSatisfy(Grammar.isToken) {
                malformed = true
            }
        }
        if members == 1 && chunked == 1 { return }
        if malformed {
            throw .bad("http.transfer_encoding", "chunked", "a malformed list")
        }
        if chunked > 1 {
            throw .bad("http.transfer_encoding.repeated", "chunked once", "\(chunked) times")
        }
        if chunked == 1 && !chunkedIsLast {
            throw .bad("http.transfer_encoding.not_last", "chunked last", "a coding after it")
        }
        throw HTTPRefusal(
            code: "http.transfer_encoding.unknown",
            status: 501,
            expected: "chunked",
            got: "another coding"
        )
    }

    /// `1*DIGIT` and nothing else: no sign, no list, no blank, no more than `maxLength`.
    private static func length(_ digits: ArraySlice<UInt8>) throws(HTTPRefusal) -> UInt64 {
        guard !digits.isEmpty else {
            throw .bad("http.content_length", "digits", "nothing")
        }
        var value: UInt64 = 0
        for byte in digits {
            guard Grammar.isDigit(byte) else {
                throw .bad("http.content_length", "digits", "something else")
            }
            let (tens, over) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(UInt64(byte - 0x30))
            guard !over, !carry, sum <= HTTPLimits.maxLength else {
                throw HTTPRefusal(
                    code: "http.content_length.too_large",
                    status: 413,
                    expected: "at most 2^63 - 1",
                    got: "more"
                )
            }
            value = sum
        }
        return value
    }
}
