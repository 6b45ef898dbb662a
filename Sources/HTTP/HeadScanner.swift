/// Cuts a head into its lines and reads the field lines; shared by requests and responses.
///
/// Everything is checked in the order of the bytes and each check looks only at bytes that came
/// before, so a head is refused for the same reason however it was split into reads.
struct HeadScanner {
    let limits: HTTPLimits
    /// Where the next line begins.
    var position = 0

    init(limits: HTTPLimits) { self.limits = limits }

    /// Reads field lines up to the empty line; `nil` when more bytes are needed.
    mutating func fields(_ bytes: Span<UInt8>) throws(HTTPRefusal) -> HTTPFields? {
        var fields = HTTPFields()
        while let line = try nextLine(bytes) {
            if line.isEmpty { return fields }
            if fields.count == limits.maxFields {
                throw .tooLarge("http.fields.too_many", status: 431, limit: limits.maxFields)
            }
            try field(bytes, line, into: &fields)
        }
        return nil
    }

    /// The next line without its CRLF; `nil` when more bytes are needed.
    mutating func nextLine(_ bytes: Span<UInt8>) throws(HTTPRefusal) -> Range<Int>? {
        try nextLine(bytes, upTo: limits.maxHeadBytes, isFirst: false)
    }

    /// The first line; that of a request has a limit of its own.
    mutating func startLine(_ bytes: Span<UInt8>, ofRequest: Bool) throws(HTTPRefusal)
        -> Range<Int>?
    {
        guard bytes.count > 0 else { return nil }
        // Also an empty line before the head, which RFC 9112 section 2.2 lets a server skip: no
        // client in use sends one, and a skipped byte is a place to hide a second reading.
        guard Grammar.isToken(bytes[0]) else {
            throw .badByte("http.start_line", "a start line", bytes[0], at: 0)
        }
        let limit = ofRequest ? limits.maxRequestLine : limits.maxHeadBytes
        return try nextLine(bytes, upTo: min(limit, limits.maxHeadBytes), isFirst: ofRequest)
    }

    private mutating func nextLine(
        _ bytes: Span<UInt8>,
        upTo limit: Int,
        isFirst: Bool
    ) throws(HTTPRefusal) -> Range<Int>? {
        var index = position
        let end = min(bytes.count, limit)
        while index < end {
            let byte = bytes[index]
            if byte == 0x0D {
                guard index + 1 < limit else { throw tooLarge(isFirst) }
                guard index + 1 < bytes.count else { return nil }
                guard bytes[index + 1] == 0x0A else {
                    throw .bad("http.line.bare_cr", "CRLF", "CR alone at offset \(index)")
                }
                let line = position..<index
                position = index + 2
                return line
            }
            if byte == 0x0A {
                throw .bad("http.line.bare_lf", "CRLF", "LF alone at offset \(index)")
            }
            guard Grammar.isFieldText(byte) else {
                throw .badByte("http.line.control", "no control characters", byte, at: index)
            }
            index += 1
        }
        if bytes.count >= limit { throw tooLarge(isFirst) }
        return nil
    }

    private func tooLarge(_ isFirst: Bool) -> HTTPRefusal {
        isFirst
            ? .tooLarge("http.target.too_large", status: 414, limit: limits.maxTargetBytes)
            : .tooLarge("http.head.too_large", status: 431, limit: limits.maxHeadBytes)
    }

    private func field(
        _ bytes: Span<UInt8>,
        _ line: Range<Int>,
        into fields: inout HTTPFields
    ) throws(HTTPRefusal) {
        if Grammar.isBlank(bytes[line.lowerBound]) {
            throw .bad("http.field.folded", "a field name", "a blank at the start of a line")
        }
        var colon = line.lowerBound
        while colon < line.upperBound && Grammar.isToken(bytes[colon]) { colon += 1 }
        guard colon < line.upperBound else {
            throw .bad("http.field.name", "a name and a colon", "a line without a colon")
        }
        guard bytes[colon] == 0x3A, colon > line.lowerBound else {
            if Grammar.isBlank(bytes[colon]) {
                throw .bad("http.field.blank_before_colon", "a colon", "a blank after a name")
            }
            throw .badByte("http.field.name", "a token and a colon", bytes[colon], at: colon)
        }
        var lower = colon + 1
        var upper = line.upperBound
        while lower < upper && Grammar.isBlank(bytes[lower]) { lower += 1 }
        while lower < upper && Grammar.isBlank(bytes[upper - 1]) { upper -= 1 }
        fields.appendParsed(bytes, name: line.lowerBound..<colon, value: lower..<upper)
    }
}
