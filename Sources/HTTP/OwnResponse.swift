extension ResponseHead {
    /// The head of an answer that this process makes itself, with a body of `length` bytes.
    public static func own(
        status: Int, contentType: String, length: Int, closes: Bool
    ) -> ResponseHead {
        var fields = HTTPFields()
        fields.append("Content-Type", contentType)
        fields.append("Content-Length", String(length))
        fields.append("Cache-Control", "no-store")
        if closes { fields.append("Connection", "close") }
        return ResponseHead(
            status: status, reason: Array(StatusText.of(status).utf8), minorVersion: 1,
            fields: fields, framing: .length(UInt64(length)), wantsClose: closes)
    }
}

extension ResponseHead {
    /// An interim head without fields, such as 100 Continue (RFC 9110 section 15.2).
    public static func interim(_ status: Int) -> ResponseHead {
        ResponseHead(
            status: status, reason: Array(StatusText.of(status).utf8), minorVersion: 1,
            fields: HTTPFields(), framing: .none, wantsClose: false)
    }
}

extension ResponseHead {
    /// The head of a chunked answer with status 200 that this process makes itself.
    public static func streaming(_ fields: HTTPFields) -> ResponseHead {
        ResponseHead(
            status: 200, reason: Array(StatusText.of(200).utf8), minorVersion: 1, fields: fields,
            framing: .chunked, wantsClose: false)
    }
}

extension ResponseHead {
    /// A head that this process makes itself for a body that another sends.
    public static func own(
        status: Int, fields: HTTPFields, framing: BodyFraming
    ) -> ResponseHead {
        ResponseHead(
            status: status, reason: Array(StatusText.of(status).utf8), minorVersion: 1,
            fields: fields, framing: framing, wantsClose: false)
    }
}
