import HTTP

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// A request with the fields that every request needs, and `lines` after them.
func request(_ lines: String..., start: String = "GET / HTTP/1.1") -> [UInt8] {
    bytes("\(start)\r\nHost: h\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n")
}

/// A response with `lines` as its fields.
func response(_ lines: String..., start: String = "HTTP/1.1 200 OK") -> [UInt8] {
    bytes("\(start)\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n")
}

/// What became of a head: the parsed head, its refusal's code, or that it is not complete.
enum Outcome: Equatable {
    case head(String, BodyFraming, consumed: Int)
    case refused(String, Int)
    case incomplete

    var code: String? {
        if case .refused(let code, _) = self { return code }
        return nil
    }

    var framing: BodyFraming? {
        if case .head(_, let framing, _) = self { return framing }
        return nil
    }
}

func parseRequest(_ bytes: [UInt8], limits: HTTPLimits = HTTPLimits()) -> Outcome {
    do throws(HTTPRefusal) {
        guard let parsed = try RequestHead.parse(bytes.span, limits: limits) else {
            return .incomplete
        }
        return .head(
            "\(parsed.head.method) \(parsed.head.target)",
            parsed.head.framing,
            consumed: parsed.consumed
        )
    } catch {
        return .refused(error.code, error.status)
    }
}

func parseResponse(_ bytes: [UInt8], method: String = "GET") -> Outcome {
    do throws(HTTPRefusal) {
        let parsed = try ResponseHead.parse(
            bytes.span,
            limits: HTTPLimits(),
            requestMethod: method
        )
        guard let parsed else { return .incomplete }
        return .head("\(parsed.head.status)", parsed.head.framing, consumed: parsed.consumed)
    } catch {
        return .refused(error.code, error.status)
    }
}

/// A body as read with `next`, fed in the pieces that `cuts` makes.
struct Reading: Equatable {
    var data: [UInt8] = []
    var consumed = 0
    var finished = false
    var code: String?
}

func readBody(_ framing: BodyFraming, _ bytes: [UInt8], cuts: [Int] = []) -> Reading {
    var reader = BodyReader(framing)
    var reading = Reading()
    var start = 0
    for end in cuts + [bytes.count] {
        let piece = Array(bytes[start..<end])
        var offset = 0
        while true {
            let segment: BodyReader.Segment
            do throws(HTTPRefusal) {
                segment = try reader.next(piece.span, from: offset)
            } catch {
                reading.code = error.code
                return reading
            }
            if segment.kind == .data { reading.data += piece[offset..<segment.end] }
            offset = segment.end
            if segment.kind == .end {
                reading.consumed = start + offset
                reading.finished = true
                return reading
            }
            if segment.kind == .needMore { break }
        }
        start = end
        reading.consumed = start
    }
    return reading
}

func skimBody(_ framing: BodyFraming, _ bytes: [UInt8], cuts: [Int] = []) -> Reading {
    var reader = BodyReader(framing)
    var reading = Reading()
    var start = 0
    for end in cuts + [bytes.count] {
        let piece = Array(bytes[start..<end])
        do throws(HTTPRefusal) {
            let skim = try reader.skim(piece.span)
            reading.consumed = start + skim.consumed
            reading.finished = skim.finished
        } catch {
            reading.code = error.code
            return reading
        }
        if reading.finished { return reading }
        start = end
    }
    return reading
}
