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
