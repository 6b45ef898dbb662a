extension BodyReader {
    /// One byte of the trailer section, RFC 9112 section 7.1.2.
    ///
    /// A trailer that would change how the message is framed, routed or authorised is refused, as
    /// RFC 9110 section 6.5.1 asks of senders: some receivers merge trailers into the fields.
    @usableFromInline @inline(never)
    mutating func readTrailer(_ byte: UInt8, at index: Int) throws(HTTPRefusal) {
        lineCount &+= 1
        guard lineCount <= HTTPLimits.maxTrailerBytes else {
            throw .tooLarge(
                "http.trailer.too_large",
                status: 431,
                limit: HTTPLimits.maxTrailerBytes
            )
        }
        switch state {
        case .trailerFirst where byte == 0x0D:
            state = .lastLF
        case .trailerFirst where Grammar.isToken(byte):
            trailerName = TrailerName()
            trailerName.append(byte)
            state = .trailerName
        case .trailerName where Grammar.isToken(byte):
            trailerName.append(byte)
        case .trailerName where byte == UInt8(ascii: ":"):
            guard trailerName.isAllowed else {
                throw .bad("http.trailer.forbidden", "a field that may come last", "another")
            }
            state = .trailerValue
        case .trailerValue where byte == 0x0D:
            state = .trailerLF
        case .trailerValue where Grammar.isFieldText(byte):
            break
        case .trailerLF where byte == 0x0A:
            state = .trailerFirst
        case .lastLF where byte == 0x0A:
            state = .finished
        default:
            throw .badByte("http.trailer", "a trailer section", byte, at: index)
        }
    }
}

/// The first bytes of a trailer's name, in lower case, kept in place.
@frozen @usableFromInline struct TrailerName: Sendable {
    /// 32: the longest refused name has 25 bytes (proxy-authentication-info).
    @usableFromInline var bytes = InlineArray<32, UInt8>(repeating: 0)
    @usableFromInline var count: UInt8 = 0

    @inlinable init() {}

    mutating func append(_ byte: UInt8) {
        // A longer name is cut, so it equals none of the refused names, whose prefixes still hold.
        if count < 32 { bytes[Int(count)] = Grammar.lower(byte) }
        if count < 33 { count += 1 }
    }

    var isAllowed: Bool {
        for name in TrailerName.refusedNames where count == name.utf8.count && starts(name) {
            return false
        }
        for prefix in TrailerName.refusedPrefixes where starts(prefix) { return false }
        return true
    }

    private func starts(_ prefix: String) -> Bool {
        guard prefix.utf8.count <= min(Int(count), 32) else { return false }
        var index = 0
        for byte in prefix.utf8 {
            if bytes[index] != byte { return false }
            index += 1
        }
        return true
    }

    /// Framing, routing, authentication, request modifiers, response control and content format,
    /// RFC 9110 section 6.5.1.
    private static let refusedNames = [
        "transfer-encoding", "content-length", "host", "connection", "keep-alive", "te",
        "trailer", "upgrade", "authorization", "www-authenticate", "cookie", "set-cookie",
        "content-encoding", "content-type", "content-range", "content-location", "expect",
        "max-forwards", "range", "cache-control", "pragma", "age", "date", "expires",
        "location", "retry-after", "vary", "warning", "forwarded", "via", "authentication-info",
        "x-real-ip",
    ]

    private static let refusedPrefixes = ["proxy-", "if-", "x-forwarded-", "x-ratel-"]
}
