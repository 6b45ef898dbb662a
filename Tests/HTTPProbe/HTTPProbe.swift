import HTTP

/// Says how the parsers of `HTTP` read a message, for the comparison with other parsers.
///
/// A line of input is `request HEX` or `response METHOD HEX`; a line of output is a JSON object
/// whose strings are hexadecimal, so that any byte can stand in them.
@main struct HTTPProbe {
    static func main() {
        while let line = readLine() {
            let words = line.split(separator: " ", omittingEmptySubsequences: false)
            let bytes = hexadecimal(words.last ?? "")
            if words.count == 3 {
                print(response(bytes, method: String(words[1])))
            } else {
                print(request(bytes))
            }
        }
    }

    static func request(_ bytes: [UInt8]) -> String {
        do throws(HTTPRefusal) {
            let parsed = try RequestHead.parse(bytes.span, limits: HTTPLimits())
            guard let parsed else { return "{\"outcome\":\"incomplete\"}" }
            let start =
                "\"method\":\(text(parsed.head.method)),\"target\":\(text(parsed.head.target))"
            return try message(
                start,
                parsed.head.fields,
                parsed.head.framing,
                bytes,
                parsed.consumed
            )
        } catch {
            return "{\"outcome\":\"refused\",\"code\":\"\(error.code)\"}"
        }
    }

    static func response(_ bytes: [UInt8], method: String) -> String {
        do throws(HTTPRefusal) {
            let parsed = try ResponseHead.parse(
                bytes.span,
                limits: HTTPLimits(),
                requestMethod: method
            )
            guard let parsed else { return "{\"outcome\":\"incomplete\"}" }
            let start = "\"status\":\(parsed.head.status)"
            return try message(
                start,
                parsed.head.fields,
                parsed.head.framing,
                bytes,
                parsed.consumed
            )
        } catch {
            return "{\"outcome\":\"refused\",\"code\":\"\(error.code)\"}"
        }
    }

    static func message(
        _ start: String,
        _ fields: HTTPFields,
        _ framing: BodyFraming,
        _ bytes: [UInt8],
        _ consumed: Int
    ) throws(HTTPRefusal) -> String {
        var reader = BodyReader(framing)
        var data: [UInt8] = []
        var offset = consumed
        reading: while true {
            let segment = try reader.next(bytes.span, from: offset)
            switch segment.kind {
            case .data: data += bytes[offset..<segment.end]
            case .framing: break
            case .end, .needMore: break reading
            }
            offset = segment.end
        }
        let list = fields.map { "[\(text($0.name)),\(hexadecimal($0.value))]" }
        return "{\"outcome\":\"\(reader.isFinished ? "complete" : "open")\",\(start),"
            + "\"fields\":[\(list.joined(separator: ","))],\"head\":\(consumed),"
            + "\"framing\":\"\(framing)\",\"body\":\(hexadecimal(data)),\"end\":\(offset)}"
    }

    static func text(_ text: String) -> String { hexadecimal(Array(text.utf8)) }

    static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var output: [UInt8] = [0x22]
        for byte in bytes {
            output.append(digits[Int(byte >> 4)])
            output.append(digits[Int(byte & 15)])
        }
        output.append(0x22)
        return String(decoding: output, as: UTF8.self)
    }

    static func hexadecimal(_ text: Substring) -> [UInt8] {
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text.utf8 {
            let digit = character < 0x40 ? character - 0x30 : character - 0x57
            if let first = high {
                bytes.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        return bytes
    }
}
