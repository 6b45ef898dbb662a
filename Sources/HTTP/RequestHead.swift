/// The request line and the fields of one request, RFC 9112 section 3.
public struct RequestHead: Sendable {
    /// A token, as written: methods are case-sensitive.
    public let method: String
    /// The request target in origin-form, or `*`; ASCII.
    public let target: String
    /// 0 or 1.
    public var minorVersion: Int
    /// The fields, in their order.
    public var fields: HTTPFields
    /// How the body's end is known.
    public var framing: BodyFraming
    /// Whether the client waits for a 100 before it sends the body, RFC 9110 section 10.1.1.
    public var expectsContinue: Bool
    /// Whether the connection ends after the response: it says so, or it is HTTP/1.0.
    public var wantsClose: Bool

    /// A head with its first byte's offset past it.
    public struct Parsed: Sendable {
        public let head: RequestHead
        /// Bytes that the head took, its empty line included.
        public let consumed: Int
    }

    /// A request of one's own, HTTP/1.1 without a body.
    public init(method: String, target: String, host: String) {
        precondition(method.utf8.allSatisfy(Grammar.isToken) && !method.isEmpty, "a method")
        precondition(target.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "a target")
        self.method = method
        self.target = target
        minorVersion = 1
        fields = HTTPFields()
        fields.append("Host", host)
        framing = .none
        expectsContinue = false
        wantsClose = false
    }

    /// Reads a head from the front of `bytes`.
    ///
    /// `nil` means that more bytes are needed; a head that is malformed or too large is refused as
    /// soon as the bytes at fault are there, the same way however they were split.
    public static func parse(_ bytes: Span<UInt8>, limits: HTTPLimits) throws(HTTPRefusal)
        -> Parsed?
    {
        var scanner = HeadScanner(limits: limits)
        guard let line = try scanner.startLine(bytes, ofRequest: true) else {
            return nil
        }
        let start = try RequestLine(bytes, line, limits: limits)
        guard let fields = try scanner.fields(bytes) else { return nil }
        return Parsed(head: try RequestHead(start, fields), consumed: scanner.position)
    }

    /// The authority that the client named, or `nil` in HTTP/1.0 without `Host`.
    public var host: String? { fields.firstValue(named: "host") }

    /// The target up to its query; `*` where the target is that.
    public var path: String {
        guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return target }
        return String(target[..<mark])
    }

    /// The head as it travels, its empty line included.
    public func serialise() -> [UInt8] {
        var output: [UInt8] = []
        // 64: the request line without its target, and the last CRLF.
        output.reserveCapacity(64 + target.utf8.count + fields.storage.count + fields.count * 4)
        output.append(contentsOf: method.utf8)
        output.append(0x20)
        output.append(contentsOf: target.utf8)
        output.append(contentsOf: (minorVersion == 0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n").utf8)
        fields.serialise(into: &output)
        output.append(contentsOf: [0x0D, 0x0A])
        return output
    }

    private init(_ start: RequestLine, _ fields: HTTPFields) throws(HTTPRefusal) {
        try RequestHead.checkHost(fields, minorVersion: start.minorVersion)
        let connection = try ConnectionOptions(fields)
        framing = try BodyFraming.ofRequest(fields, minorVersion: start.minorVersion)
        if connection.upgrade {
            throw HTTPRefusal(
                code: "http.upgrade",
                status: 501,
                expected: "no upgrade",
                got: "Upgrade"
            )
        }
        // A 1.0 client cannot wait for a 100, so RFC 9110 section 10.1.1 has it ignored there.
        expectsContinue = try RequestHead.expectation(fields) && start.minorVersion == 1
        method = start.method
        target = start.target
        minorVersion = start.minorVersion
        wantsClose = connection.close || start.minorVersion == 0
        self.fields = fields
    }

    private static func checkHost(_ fields: HTTPFields, minorVersion: Int) throws(HTTPRefusal) {
        let hosts = fields.entries.filter { fields.matches($0, "host") }
        guard let host = hosts.first else {
            if minorVersion == 0 { return }
            throw .bad("http.host.missing", "one Host", "none")
        }
        guard hosts.count == 1 else {
            throw .bad("http.host.repeated", "one Host", "\(hosts.count) of them")
        }
        guard Authority.isValid(fields.storage[host.value]) else {
            throw .bad("http.host.invalid", "a host and an optional port", "something else")
        }
    }

    private static func expectation(_ fields: HTTPFields) throws(HTTPRefusal) -> Bool {
        var expects = false
        try fields.forEachMember(of: "expect") { (member) throws(HTTPRefusal) in
            guard fields.equals(member, "100-continue") else {
                throw HTTPRefusal(
                    code: "http.expect",
                    status: 417,
                    expected: "100-continue",
                    got: "another expectation"
                )
            }
            expects = true
        }
        return expects
    }
}
