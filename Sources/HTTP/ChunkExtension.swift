extension BodyReader {
    /// One byte of `*( ";" name [ "=" ( token / quoted-string ) ] )`, RFC 9112 section 7.1.1.
    ///
    /// Blanks around the separators (BWS) are refused: senders must not make them, and parsers
    /// differ on them.
    @usableFromInline @inline(never)
    mutating func readExtension(_ byte: UInt8, at index: Int) throws(HTTPRefusal) {
        lineCount &+= 1
        guard lineCount <= HTTPLimits.maxChunkLine else {
            throw .tooLarge(
                "http.chunk.line_too_large",
                status: 400,
                limit: HTTPLimits.maxChunkLine
            )
        }
        switch state {
        case .extensionNameFirst where Grammar.isToken(byte): state = .extensionName
        case .extensionName where Grammar.isToken(byte): break
        case .extensionName where byte == UInt8(ascii: "="): state = .extensionValueFirst
        case .extensionValueFirst where byte == UInt8(ascii: "\""): state = .extensionQuoted
        case .extensionValueFirst where Grammar.isToken(byte): state = .extensionToken
        case .extensionToken where Grammar.isToken(byte): break
        case .extensionQuoted where byte == UInt8(ascii: "\""): state = .extensionQuoteEnd
        case .extensionQuoted where byte == UInt8(ascii: "\\"): state = .extensionEscape
        case .extensionQuoted where Grammar.isQuotedText(byte): break
        case .extensionEscape where Grammar.isFieldText(byte): state = .extensionQuoted
        case .extensionName where isSeparator(byte), .extensionToken where isSeparator(byte),
            .extensionQuoteEnd where isSeparator(byte):
            state = byte == 0x0D ? .sizeLF : .extensionNameFirst
        default:
            throw .badByte("http.chunk.extension", "a chunk extension", byte, at: index)
        }
    }

    private func isSeparator(_ byte: UInt8) -> Bool { byte == 0x0D || byte == 0x3B }
}
