internal import HTTP

/// Reads one HTTP/1.1 answer whole into memory.
struct AnswerReader {
    private let method: String
    private let limit: Int
    private var received: [UInt8] = []
    private var head: ResponseHead?
    private var reader: BodyReader?
    private var content: [UInt8] = []

    /// Begins to read the answer to a request of `method`, of at most `limit` bytes.
    init(method: String, limit: Int) {
        self.method = method
        self.limit = limit
    }

    /// Whether more came than was allowed; nothing of it is given out then.
    var isTooLong: Bool { content.count > limit }

    /// Takes what came; the answer when it is whole.
    mutating func append(_ bytes: [UInt8]) throws(HTTPRefusal) -> Fetch.Answer? {
        received += bytes
        while reader == nil {
            let bytes = received
            let parsed = try ResponseHead.parse(
                bytes.span, limits: HTTPLimits(), requestMethod: method)
            guard let parsed else { return nil }
            received.removeFirst(parsed.consumed)
            if parsed.head.isInterim { continue }
            head = parsed.head
            reader = BodyReader(parsed.head.framing)
        }
        guard var reader else { return nil }
        let bytes = received
        var offset = 0
        defer {
            received = []
            self.reader = reader
        }
        while true {
            let segment = try reader.next(bytes.span, from: offset)
            if segment.kind == .data { content += bytes[offset..<segment.end] }
            offset = segment.end
            switch segment.kind {
            case .end: return isTooLong ? nil : answer
            case .needMore: return nil
            default: continue
            }
        }
    }

    /// The answer of a server that closed the connection to end it; nil where it was cut short.
    mutating func ended() -> Fetch.Answer? {
        guard var reader, reader.finishedByClose(), !isTooLong else { return nil }
        return answer
    }

    private var answer: Fetch.Answer? {
        head.map { Fetch.Answer(status: $0.status, fields: $0.fields, body: content) }
    }
}
