internal import Bytes
internal import HTTP
internal import Keys
public import Loop
internal import Streams

/// A small OpenAI-compatible server that generates tokens and says what it is: no language model.
///
/// It stands in for an inference server where none is at hand, and streams as vLLM does: one event
/// a chunk, `usage` where it is asked for.
public final class DemoBackend: Listener {
    /// Milliseconds between two tokens: 50 tokens a second, a common speed of real models.
    private let pace: UInt64
    private var connections: [ObjectIdentifier: DemoConnection] = [:]

    /// Listens at `address` and sends a token every `pace` milliseconds.
    public init(
        on loop: EventLoop, address: Address, pace: UInt64 = 20
    ) throws(SocketError) {
        self.pace = pace
        try super.init(on: loop, address: address)
    }

    public override func didBecomeReady() {
        let connection = DemoConnection(listener: self, pace: pace)
        do {
            try connection.accept(from: self)
        } catch {
            return connection.close()
        }
        connections[ObjectIdentifier(connection)] = connection
        connection.begin()
    }

    /// Ends every connection.
    public func closeConnections() {
        for connection in connections.values { connection.end() }
    }

    fileprivate func forget(_ connection: DemoConnection) {
        connections[ObjectIdentifier(connection)] = nil
    }
}

private final class DemoConnection: Link {
    private unowned let listener: DemoBackend
    private let pace: UInt64
    private var head: RequestHead?
    private var body = BodyReader(.none)
    private var received: [UInt8] = []
    private var content: [UInt8] = []
    private var generation: DemoGeneration?
    private var timer: LoopTimer?

    /// Bytes of a request: prompts are long, but this backend only counts their words.
    private static let maximumBody = 8 << 20

    init(listener: DemoBackend, pace: UInt64) {
        self.listener = listener
        self.pace = pace
        super.init(on: listener.loop, kind: listener.address)
    }

    override func didReceive(_ plaintext: consuming Buffer) {
        received.append(copying: plaintext.bytes)
        advance()
    }

    override func didReceiveEnd() { end() }
    override func didBreak(_ error: LinkError) { end() }

    func end() {
        timer?.close()
        timer = nil
        generation = nil
        close()
        listener.forget(self)
    }

    private func advance() {
        do throws(HTTPRefusal) {
            if head == nil {
                let bytes = received
                guard let parsed = try RequestHead.parse(bytes.span, limits: HTTPLimits())
                else { return }
                head = parsed.head
                body = BodyReader(parsed.head.framing)
                content = []
                received.removeFirst(parsed.consumed)
            }
            try readBody()
        } catch {
            respond(error.status, .members([("error", .string(error.code))]), closes: true)
            end()
        }
    }

    private func readBody() throws(HTTPRefusal) {
        var offset = 0
        let bytes = received
        reading: while true {
            let segment = try body.next(bytes.span, from: offset)
            switch segment.kind {
            case .data: content.append(contentsOf: bytes[offset..<segment.end])
            case .framing: break
            case .end, .needMore: break reading
            }
            offset = segment.end
        }
        received.removeFirst(offset)
        guard content.count <= DemoConnection.maximumBody else { return end() }
        if body.isFinished, generation == nil, let head { answer(head) }
    }

    private func answer(_ head: RequestHead) {
        switch (head.method, head.path) {
        case ("GET", "/health"):
            respond(200, .members([]))
        case ("GET", "/v1/models"):
            respond(
                200,
                .members([
                    ("object", .string("list")),
                    (
                        "data",
                        .array([
                            .members([
                                ("id", .string(DemoGeneration.model)),
                                ("object", .string("model")), ("owned_by", .string("ratel")),
                            ])
                        ])
                    ),
                ]))
        case ("POST", "/v1/chat/completions"), ("POST", "/v1/completions"):
            guard let request = JSONParser.parse(content), request.members != nil else {
                return fail(400, "the body is not a JSON object")
            }
            let generation = DemoGeneration(
                request, isChat: head.path == "/v1/chat/completions", now: System.now)
            if request["stream"] == .bool(true) {
                stream(generation)
            } else {
                respond(200, generation.completion)
            }
        default:
            fail(404, "there is no \(head.method) \(head.path) here")
        }
    }

    private func stream(_ generation: DemoGeneration) {
        self.generation = generation
        var fields = HTTPFields()
        fields.append("Content-Type", "text/event-stream; charset=utf-8")
        fields.append("Cache-Control", "no-cache")
        fields.append("Transfer-Encoding", "chunked")
        sendMessage(ResponseHead.streaming(fields).serialise())
        let timer = LoopTimer(on: loop) { [unowned self] in self.sendNext() }
        timer.start(after: pace, every: pace)
        self.timer = timer
    }

    private func sendNext() {
        guard let event = generation?.next() else { return finishStream() }
        // A slow reader's tokens wait here; there are at most `DemoGeneration.maximumTokens`.
        sendMessage(DemoConnection.chunk(Array("data: \(event.serialised())\n\n".utf8)))
    }

    private func finishStream() {
        timer?.close()
        timer = nil
        generation = nil
        sendMessage(
            DemoConnection.chunk(Array("data: [DONE]\n\n".utf8)) + Array("0\r\n\r\n".utf8))
        head = nil
        if !received.isEmpty { advance() }
    }

    private func fail(_ status: Int, _ message: String) {
        respond(
            status,
            .members([
                (
                    "error",
                    .members([
                        ("message", .string(message)), ("type", .string("invalid_request_error")),
                        ("param", .null), ("code", .integer(status)),
                    ])
                )
            ]))
    }

    private func respond(_ status: Int, _ document: JSONValue, closes: Bool = false) {
        let body = Array(document.serialised().utf8)
        let response = ResponseHead.own(
            status: status, contentType: "application/json", length: body.count, closes: closes)
        sendMessage(response.serialise() + body)
        head = nil
        if !received.isEmpty { advance() }
    }

    private static func chunk(_ data: [UInt8]) -> [UInt8] {
        Array((String(data.count, radix: 16) + "\r\n").utf8) + data + [0x0D, 0x0A]
    }
}
