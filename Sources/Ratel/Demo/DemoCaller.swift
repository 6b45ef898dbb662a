internal import Bytes
internal import HTTP
internal import Keys
public import Loop
internal import Streams

/// A caller that knows nothing of attestation: one HTTP request in plaintext, the answer as it
/// comes.
public enum DemoCaller {
    /// Sends a request to `address` and hands every piece of the answer's body to `onPiece`;
    /// answers the status, 0 when there was none.
    public static func post(
        _ path: String, _ body: String, to address: Address,
        onPiece: @escaping ([UInt8]) -> Void
    ) -> Int {
        let loop = EventLoop(bufferCount: 16)
        let link = CallerLink(on: loop, kind: address)
        var head = RequestHead(method: "POST", target: path, host: address.description)
        head.fields.append("Content-Type", "application/json")
        head.fields.append("Content-Length", String(body.utf8.count))
        link.request = head.serialise() + Array(body.utf8)
        link.onPiece = onPiece
        do {
            try link.connect(to: address)
        } catch {
            link.close()
        }
        loop.mailbox.close()
        loop.run()
        return link.status
    }

    /// The identifier of the first model in an answer of `/v1/models`.
    public static func firstModel(in answer: String) -> String? {
        JSONParser.parse(Array(answer.utf8))?["data"]?.items?.first?["id"]?.text
    }

    /// The text of the tokens in a piece of an event stream.
    public static func tokens(in piece: [UInt8]) -> String {
        String(decoding: piece, as: UTF8.self).split(separator: "\n").compactMap { line in
            guard line.hasPrefix("data: {"),
                let event = JSONParser.parse(Array(line.dropFirst(6).utf8))
            else { return nil }
            return event["choices"]?.items?.first?["delta"]?["content"]?.text
        }.joined()
    }
}

private final class CallerLink: Link {
    var request: [UInt8] = []
    var onPiece: (([UInt8]) -> Void)?
    private(set) var status = 0
    private var received: [UInt8] = []
    private var body: BodyReader?

    override func didConnect(_ failure: SocketError?) {
        guard failure == nil else { return close() }
        begin()
        sendMessage(request)
    }

    override func didReceive(_ plaintext: consuming Buffer) {
        received.append(copying: plaintext.bytes)
        do throws(HTTPRefusal) {
            try read()
        } catch {
            close()
        }
    }

    override func didReceiveEnd() { close() }
    override func didBreak(_ error: LinkError) { close() }

    private func read() throws(HTTPRefusal) {
        let bytes = received
        var offset = 0
        if body == nil {
            guard
                let parsed = try ResponseHead.parse(
                    bytes.span, limits: HTTPLimits(), requestMethod: "POST")
            else { return }
            status = parsed.head.status
            body = BodyReader(parsed.head.framing)
            offset = parsed.consumed
        }
        var piece: [UInt8] = []
        var isDone = false
        reading: while var reader = body {
            let segment = try reader.next(bytes.span, from: offset)
            body = reader
            switch segment.kind {
            case .data: piece += bytes[offset..<segment.end]
            case .framing: break
            case .end:
                isDone = true
                break reading
            case .needMore: break reading
            }
            offset = segment.end
        }
        received.removeFirst(offset)
        if !piece.isEmpty { onPiece?(piece) }
        if isDone { close() }
    }
}
