/// The status line and the fields of one response, RFC 9112 section 4.
public struct ResponseHead: Sendable {
    /// Three digits, 100 to 599.
    public let status: Int
    /// The reason phrase, as written; may be empty.
    public let reason: [UInt8]
    /// 0 or 1.
    public var minorVersion: Int
    /// The fields, in their order.
    public var fields: HTTPFields
    /// How the body's end is known; answers to HEAD, 1xx, 204 and 304 have none.
    public var framing: BodyFraming
    /// Whether the connection ends after this response.
    public var wantsClose: Bool

    /// A head with its first byte's offset past it.
    public struct Parsed: Sendable {
        public let head: ResponseHead
        /// Bytes that the head took, its empty line included.
        public let consumed: Int
    }

    /// Whether a final response is still to come: 1xx.
    public var isInterim: Bool { status < 200 }

    /// Whether the body is a stream of events, as streamed tokens are (WHATWG HTML section 9.2).
    public var isEventStream: Bool {
        guard let value = fields.firstValue(named: "content-type") else { return false }
        return value.prefix { $0 != ";" && $0 != " " }.lowercased() == "text/event-stream"
    }

    /// Reads a head from the front of `bytes`; `requestMethod` is of the request that it answers.
    ///
    /// `nil` means that more bytes are needed. Every refusal has status 502, RFC 9110 section
    /// 15.6.3.
    public static func parse(
        _ bytes: Span<UInt8>,
        limits: HTTPLimits,
        requestMethod: String
    ) throws(HTTPRefusal) -> Parsed? {
        do throws(HTTPRefusal) {
            return try read(bytes, limits: limits, requestMethod: requestMethod)
        } catch {
            var refusal = error
            refusal.status = 502
            throw refusal
        }
    }

    /// The head as it travels, its empty line included.
    public func serialise() -> [UInt8] {
        var output: [UInt8] = []
        // 64: the status line with a usual reason, and the last CRLF.
        output.reserveCapacity(64 + fields.storage.count + fields.count * 4)
        output.append(contentsOf: (minorVersion == 0 ? "HTTP/1.0 " : "HTTP/1.1 ").utf8)
        output.append(contentsOf: String(status).utf8)
        output.append(0x20)
        output.append(contentsOf: reason)
        output.append(contentsOf: [0x0D, 0x0A])
        fields.serialise(into: &output)
        output.append(contentsOf: [0x0D, 0x0A])
        return output
    }

    private static func read(
        _ bytes: Span<UInt8>,
        limits: HTTPLimits,
        requestMethod: String
    ) throws(HTTPRefusal) -> Parsed? {
        var scanner = HeadScanner(limits: limits)
        guard let line = try scanner.startLine(bytes, ofRequest: false) else {
            return nil
        }
        let minorVersion = try HTTPVersion.minor(bytes, line, exactly: false)
        let status = try status(bytes, line)
        guard let fields = try scanner.fields(bytes) else { return nil }
        let connection = try ConnectionOptions(fields)
        let framing = try BodyFraming.ofResponse(
            fields,
            minorVersion: minorVersion,
            status: status,
            requestMethod: requestMethod
        )
        var reason: [UInt8] = []
        for index in (line.lowerBound + 13)..<line.upperBound { reason.append(bytes[index]) }
        let head = ResponseHead(
            status: status,
            reason: reason,
            minorVersion: minorVersion,
            fields: fields,
            framing: framing,
            wantsClose: connection.close || minorVersion == 0 || framing == .untilClose
        )
        return Parsed(head: head, consumed: scanner.position)
    }

    /// `SP 3DIGIT SP [reason-phrase]` after the version, RFC 9112 section 4.
    private static func status(_ bytes: Span<UInt8>, _ line: Range<Int>) throws(HTTPRefusal)
        -> Int
    {
        let start = line.lowerBound + 8
        guard line.upperBound >= start + 5, bytes[start] == 0x20, bytes[start + 4] == 0x20,
            Grammar.isDigit(bytes[start + 1]), Grammar.isDigit(bytes[start + 2]),
            Grammar.isDigit(bytes[start + 3])
        else {
            throw .bad("http.status_line", "version, three digits, reason", "something else")
        }
        let status =
            Int(bytes[start + 1] - 0x30) * 100 + Int(bytes[start + 2] - 0x30) * 10
            + Int(bytes[start + 3] - 0x30)
        guard (100...599).contains(status) else {
            throw .bad("http.status", "100 to 599", String(status))
        }
        // The request never asked to upgrade, so nothing after a 101 could be read as HTTP.
        guard status != 101 else {
            throw .bad("http.response.upgrade", "no 101, since no upgrade was asked", "101")
        }
        return status
    }

    init(
        status: Int,
        reason: [UInt8],
        minorVersion: Int,
        fields: HTTPFields,
        framing: BodyFraming,
        wantsClose: Bool
    ) {
        self.status = status
        self.reason = reason
        self.minorVersion = minorVersion
        self.fields = fields
        self.framing = framing
        self.wantsClose = wantsClose
    }
}
