/// What a head becomes when it is passed on, RFC 9110 section 7.6.
///
/// The body travels as it came, so the framing field stays: a chunked message leaves with exactly
/// one `Transfer-Encoding: chunked`, unless the caller dechunks it.
public enum Forwarding {
    /// Whether the address of the client is told to the next hop.
    public enum ClientAddress: Sendable, Equatable {
        /// The fields of the client pass as they are.
        case off
        /// This address is appended to `X-Forwarded-For` and `Forwarded` (RFC 7239); an IPv4 or
        /// IPv6 address as text, or `unknown`.
        case append(String)
    }

    /// How a request is passed on.
    public struct RequestOptions: Sendable {
        /// What to say about the client's address.
        public var clientAddress = ClientAddress.off
        /// The `Host` for an HTTP/1.0 request that has none, since it leaves as HTTP/1.1.
        public var fallbackHost: String
        /// Whether the next hop should close after its response.
        public var closing = false

        public init(fallbackHost: String) { self.fallbackHost = fallbackHost }
    }

    /// How a response is passed on.
    public struct ResponseOptions: Sendable {
        /// The minor version of the client's request.
        public var clientMinorVersion = 1
        /// Whether the connection to the client ends after this response.
        public var closing = false
        /// Whether the caller strips the chunks, for a client that cannot read them; such a
        /// response ends with the connection.
        public var dechunk = false
        /// Whether `X-Ratel-*` is removed: always, except where they come from another Ratel that
        /// was admitted.
        public var stripsRatelFields = true

        public init() {}
    }

    /// The request for the next hop: HTTP/1.1, without hop-by-hop fields and inbound `X-Ratel-*`.
    public static func request(_ head: RequestHead, _ options: RequestOptions) -> RequestHead {
        var result = head
        removeHopByHop(&result.fields, keepsChunked: head.framing == .chunked)
        removeRatelFields(&result.fields)
        if head.minorVersion == 0 {
            result.fields.removeAll(named: "expect")
            if head.host == nil { result.fields.append("Host", options.fallbackHost) }
        }
        if case .append(let address) = options.clientAddress {
            appendAddress(address, to: &result.fields)
        }
        if options.closing { result.fields.append("Connection", "close") }
        result.minorVersion = 1
        result.wantsClose = options.closing
        return result
    }

    /// The response for the client: HTTP/1.1, without the hop-by-hop fields of the backend.
    ///
    /// `Connection: close` is added when the connection ends after it: because the caller says so,
    /// the client speaks HTTP/1.0, or the body ends with the connection.
    public static func response(_ head: ResponseHead, _ options: ResponseOptions) -> ResponseHead {
        var result = head
        let dechunks = options.dechunk && head.framing == .chunked
        removeHopByHop(&result.fields, keepsChunked: !dechunks)
        if options.stripsRatelFields { removeRatelFields(&result.fields) }
        if dechunks {
            result.framing = .untilClose
            result.fields.removeAll(named: "trailer")
        }
        if head.isInterim || head.status == 204 {
            // At most a zero, which RFC 9110 section 8.6 forbids here.
            result.fields.removeAll(named: "content-length")
        }
        result.minorVersion = 1
        result.wantsClose =
            options.closing || options.clientMinorVersion == 0 || result.framing == .untilClose
        if result.wantsClose && !head.isInterim { result.fields.append("Connection", "close") }
        return result
    }

    private static func removeHopByHop(_ fields: inout HTTPFields, keepsChunked: Bool) {
        var named: [Range<Int>] = []
        fields.forEachMember(of: "connection") { named.append($0) }
        let bytes = fields.storage
        for member in named where !member.isEmpty {
            fields.removeAll(named: String(decoding: bytes[member], as: UTF8.self))
        }
        for name in hopByHop { fields.removeAll(named: name) }
        if !keepsChunked { fields.removeAll(named: "transfer-encoding") }
    }

    private static func removeRatelFields(_ fields: inout HTTPFields) {
        // Also with underscores: gateways that turn names into variables read both as one.
        let bytes = fields.storage
        fields.entries.removeAll { entry in
            entry.name.count >= ratelPrefix.count
                && zip(bytes[entry.name], ratelPrefix).allSatisfy { byte, wanted in
                    (byte == UInt8(ascii: "_") ? UInt8(ascii: "-") : Grammar.lower(byte)) == wanted
                }
        }
    }

    /// Appends to the lists, as one line each: some readers look at one line only.
    private static func appendAddress(_ address: String, to fields: inout HTTPFields) {
        let isIPv6 = address.utf8.contains(UInt8(ascii: ":"))
        let node = isIPv6 ? "for=\"[\(address)]\"" : "for=\(address)"
        for (name, element) in [("X-Forwarded-For", address), ("Forwarded", node)] {
            let before = fields.values(named: name).filter { !$0.isEmpty }
            fields.set(name, (before + [element]).joined(separator: ", "))
        }
    }

    private static let ratelPrefix = Array("x-ratel-".utf8)

    /// RFC 9110 section 7.6.1 and the fields that were hop-by-hop in RFC 2616.
    private static let hopByHop = [
        "connection", "proxy-connection", "keep-alive", "te", "upgrade", "http2-settings",
        "proxy-authenticate", "proxy-authorization", "proxy-authentication-info",
    ]
}
