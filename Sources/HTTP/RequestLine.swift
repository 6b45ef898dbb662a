/// The first line of a request, RFC 9112 section 3.
struct RequestLine {
    let method: String
    let target: String
    let minorVersion: Int

    init(_ bytes: Span<UInt8>, _ line: Range<Int>, limits: HTTPLimits) throws(HTTPRefusal) {
        let first = RequestLine.space(bytes, line)
        let method = line.lowerBound..<first
        for index in method where !Grammar.isToken(bytes[index]) {
            throw .badByte("http.method", "a token", bytes[index], at: index)
        }
        guard first < line.upperBound else {
            throw .bad("http.request_line", "method, target, version", "no space")
        }
        guard method.count <= HTTPLimits.maxMethodBytes else {
            throw .tooLarge("http.method.too_large", status: 501, limit: HTTPLimits.maxMethodBytes)
        }
        let second = RequestLine.space(bytes, (first + 1)..<line.upperBound)
        let target = (first + 1)..<second
        guard second < line.upperBound, !target.isEmpty else {
            throw .bad("http.request_line", "method, target, version", "fewer parts")
        }
        let version = (second + 1)..<line.upperBound
        minorVersion = try HTTPVersion.minor(bytes, version, exactly: true)
        guard target.count <= limits.maxTargetBytes else {
            throw .tooLarge("http.target.too_large", status: 414, limit: limits.maxTargetBytes)
        }
        self.method = RequestLine.text(bytes, method)
        self.target = RequestLine.text(bytes, target)
        try RequestLine.checkTarget(bytes, target, method: self.method)
    }

    private static func checkTarget(
        _ bytes: Span<UInt8>,
        _ target: Range<Int>,
        method: String
    ) throws(HTTPRefusal) {
        if method == "CONNECT" {
            throw HTTPRefusal(
                code: "http.connect",
                status: 501,
                expected: "a request, not a tunnel",
                got: "CONNECT"
            )
        }
        if bytes[target.lowerBound] == UInt8(ascii: "*"), target.count == 1 {
            guard method == "OPTIONS" else {
                throw .bad("http.target.asterisk", "* with OPTIONS only", "another method")
            }
            return
        }
        guard bytes[target.lowerBound] == UInt8(ascii: "/") else {
            throw .bad("http.target.form", "origin-form, a path", "another form")
        }
        var inQuery = false
        var index = target.lowerBound
        while index < target.upperBound {
            let byte = bytes[index]
            if byte == UInt8(ascii: "%") {
                guard index + 2 < target.upperBound, Grammar.hexValue(bytes[index + 1]) != nil,
                    Grammar.hexValue(bytes[index + 2]) != nil
                else {
                    throw .bad("http.target.percent", "% and two digits", "fewer")
                }
                index += 3
                continue
            }
            if byte == UInt8(ascii: "?") {
                inQuery = true
            } else if byte != UInt8(ascii: "/") && !Grammar.isPathCharacter(byte) {
                let part = inQuery ? "a query" : "a path"
                throw .badByte("http.target.character", "\(part) of RFC 3986", byte, at: index)
            }
            index += 1
        }
    }

    private static func space(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int {
        var index = range.lowerBound
        while index < range.upperBound && bytes[index] != 0x20 { index += 1 }
        return index
    }

    private static func text(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String {
        var copy: [UInt8] = []
        copy.reserveCapacity(range.count)
        for index in range { copy.append(bytes[index]) }
        return String(decoding: copy, as: UTF8.self)
    }
}

/// `HTTP/1.0` or `HTTP/1.1`, RFC 9112 section 2.3.
enum HTTPVersion {
    /// The minor version at the start of `range`; with `exactly`, nothing may follow it.
    static func minor(_ bytes: Span<UInt8>, _ range: Range<Int>, exactly: Bool)
        throws(HTTPRefusal) -> Int
    {
        let start = range.lowerBound
        guard exactly ? range.count == 8 : range.count >= 8, hasName(bytes, start),
            Grammar.isDigit(bytes[start + 5]), bytes[start + 6] == 0x2E,
            Grammar.isDigit(bytes[start + 7])
        else {
            throw .bad("http.version.malformed", "HTTP/1.1", "something else")
        }
        let minor = bytes[start + 7] - 0x30
        guard bytes[start + 5] == 0x31, minor <= 1 else {
            throw HTTPRefusal(
                code: "http.version",
                status: 505,
                expected: "HTTP/1.0 or HTTP/1.1",
                got: "another version"
            )
        }
        return Int(minor)
    }

    private static func hasName(_ bytes: Span<UInt8>, _ start: Int) -> Bool {
        var index = start
        for byte in "HTTP/".utf8 {
            if bytes[index] != byte { return false }
            index += 1
        }
        return true
    }
}
