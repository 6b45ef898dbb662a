import Bytes
import HTTP
import Testing

/// What a server must not do (RFC 9113), done to the client's side of a session frame by frame.
struct HTTP2ClientTests {
    /// Frames of a server, and what must become of them.
    struct Case: Sendable, CustomTestStringConvertible {
        let section: String
        let what: String
        let frames: [[UInt8]]
        let outcome: Ending

        var testDescription: String { "\(section): \(what)" }
    }

    /// Where an error ends: nothing, the stream, or the connection.
    enum Ending: Sendable, Equatable {
        case fine
        case stream
        case connection(UInt32)
    }

    private static let protocolError = Ending.connection(1)
    private static let flowError = Ending.connection(3)
    private static let sizeError = Ending.connection(6)

    static let cases: [Case] = [
        Case("3.4", "a frame before SETTINGS", [Frames.ping()], protocolError, begins: false),
        Case("4.1", "an unknown frame", [Frames.frame(0x77, 0, 0, [1])], .fine),
        Case("4.3", "a block that is no HPACK", [Frames.headers([0x40])], .connection(9)),
        Case(
            "5.5", "an unknown frame inside a block",
            [Frames.frame(1, 0, 1, Frames.ok), Frames.frame(0x77, 0, 0, [])], protocolError),
        Case(
            "5.1", "HEADERS on a stream that nobody opened", [Frames.headers(Frames.ok, stream: 7)],
            protocolError),
        Case(
            "5.1.1", "a stream of the server's", [Frames.headers(Frames.ok, stream: 2)],
            protocolError),
        Case("5.1", "DATA on an idle stream", [Frames.data([1], stream: 5)], protocolError),
        Case("6.1", "DATA on stream 0", [Frames.data([1], stream: 0)], protocolError),
        Case("6.2", "HEADERS on stream 0", [Frames.headers(Frames.ok, stream: 0)], protocolError),
        Case("6.4", "RST_STREAM of another length", [Frames.frame(3, 0, 1, [0])], sizeError),
        Case("6.5", "SETTINGS on a stream", [Frames.frame(4, 0, 1, [])], protocolError),
        Case(
            "6.5", "an acknowledgement with a setting",
            [Frames.frame(4, 1, 0, Frames.setting(3, 1))],
            sizeError),
        Case(
            "6.5.2", "push switched on by a server", [Frames.frame(4, 0, 0, Frames.setting(2, 1))],
            protocolError),
        Case(
            "6.5.2", "an initial window of 2^31",
            [Frames.frame(4, 0, 0, Frames.setting(4, 1 << 31))],
            flowError),
        Case(
            "6.6", "PUSH_PROMISE where push is off",
            [Frames.frame(4, 1, 0, []), Frames.frame(5, 4, 1, [0, 0, 0, 2] + Frames.request)],
            protocolError),
        Case("6.7", "PING of another length", [Frames.frame(6, 0, 0, [1])], sizeError),
        Case(
            "6.8", "GOAWAY on a stream", [Frames.frame(7, 0, 1, [UInt8](repeating: 0, count: 8))],
            protocolError),
        Case(
            "6.9", "WINDOW_UPDATE of 0 for the connection", [Frames.frame(8, 0, 0, [0, 0, 0, 0])],
            protocolError),
        Case(
            "6.9", "WINDOW_UPDATE of 0 for the stream", [Frames.frame(8, 0, 1, [0, 0, 0, 0])],
            .stream),
        Case(
            "6.9.1", "more DATA than the window",
            [Frames.headers(Frames.ok)]
                + [[UInt8]](repeating: Frames.fullData, count: 17),
            .stream),
        Case("8.1", "DATA before an answer's head", [Frames.data([1])], .stream),
        Case(
            "8.1", "an interim answer that ends the stream",
            [Frames.headers(Frames.literal(":status", "103"), flags: 5)], .stream),
        Case(
            "8.1.1", "less body than content-length",
            [
                Frames.headers(Frames.ok + Frames.literal("content-length", "3")),
                Frames.data([1], flags: 1),
            ], .stream),
        Case(
            "8.2.1", "a name in upper case",
            [Frames.headers(Frames.ok + Frames.literal("X-Up", "1"))], .stream),
        Case(
            "8.2.1", "LF in a value", [Frames.headers(Frames.ok + Frames.literal("x", "a\nb"))],
            .stream),
        Case(
            "8.2.2", "transfer-encoding",
            [Frames.headers(Frames.ok + Frames.literal("transfer-encoding", "chunked"))], .stream),
        Case("8.3.2", "no :status", [Frames.headers(Frames.literal("x", "a"))], .stream),
        Case(
            "8.3.2", "a :status that is no number",
            [Frames.headers(Frames.literal(":status", "2x0"))], .stream),
        Case(
            "8.3", "a pseudo-header field of requests",
            [Frames.headers(Frames.ok + Frames.literal(":path", "/"))], .stream),
        Case(
            "8.6", "101 Switching Protocols", [Frames.headers(Frames.literal(":status", "101"))],
            .stream),
        Case(
            "8.1", "an answer with trailers",
            [
                Frames.headers(Frames.ok), Frames.data([1, 2, 3]),
                Frames.headers(Frames.literal("x-sum", "6"), flags: 5),
            ], .fine),
    ]

    @Test(arguments: cases)
    func aServerThatBreaksARule(_ rule: Case) throws {
        let client = Client()
        let ending = client.take(rule.frames)
        // A stream's error may be taken for the connection's (section 5.4.2).
        if rule.outcome == .stream, case .connection = ending { return }
        #expect(ending == rule.outcome)
    }

    @Test func anAnswerArrivesWhole() throws {
        let client = Client()
        let ending = client.take([
            Frames.settings, Frames.headers(Frames.literal(":status", "103")),
            Frames.headers(Frames.ok), Frames.data([1, 2]), Frames.data([3]),
            Frames.headers(Frames.literal("x-sum", "6"), flags: 5),
        ])
        #expect(ending == .fine)
        #expect(
            client.heads == [
                "HTTP/1.1 103 \r\n\r\n", "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n",
            ])
        #expect(client.body.received == [1, 2, 3])
        #expect(client.trailers == Array("x-sum: 6\r\n".utf8))
    }

    @Test func streamsThatGoAwayLeavesOutAreRefused() throws {
        let client = Client()
        #expect(client.begin() == 3)
        // The server takes stream 1 and nothing behind it.
        _ = client.take([Frames.settings, Frames.frame(7, 0, 0, [0, 0, 0, 1, 0, 0, 0, 0])])
        #expect(client.closed == [3: HTTP2Error.refusedStream])
        #expect(!client.allowsRequests)
    }

    @Test func theServersLimitOnStreamsIsKnownOnceItIsSaid() throws {
        let client = Client()
        #expect(client.peerStreams == 100)
        _ = client.take([Frames.frame(4, 0, 0, Frames.setting(3, 7))])
        #expect(client.peerStreams == 7)
    }
}

extension HTTP2ClientTests.Case {
    /// The server's SETTINGS come first, unless it never `begins`.
    init(
        _ section: String, _ what: String, _ frames: [[UInt8]],
        _ outcome: HTTP2ClientTests.Ending, begins: Bool = true
    ) {
        self.init(
            section: section, what: what, frames: (begins ? [Frames.settings] : []) + frames,
            outcome: outcome)
    }
}

/// Frames as a server writes them.
enum Frames {
    static let ok: [UInt8] = [0x88]
    /// GET https /
    static let request: [UInt8] = [0x82, 0x87, 0x84]
    static let settings = frame(4, 0, 0, [])

    static func frame(_ kind: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8])
        -> [UInt8]
    {
        [UInt8(payload.count >> 16), UInt8(payload.count >> 8 & 255), UInt8(payload.count & 255)]
            + [kind, flags] + number(stream) + payload
    }

    static func headers(_ block: [UInt8], stream: UInt32 = 1, flags: UInt8 = 4) -> [UInt8] {
        frame(1, flags, stream, block)
    }

    static func data(_ bytes: [UInt8], stream: UInt32 = 1, flags: UInt8 = 0) -> [UInt8] {
        frame(0, flags, stream, bytes)
    }

    /// As much as one frame carries.
    static let fullData = data([UInt8](repeating: 1, count: 16_384))

    static func ping() -> [UInt8] { frame(6, 0, 0, [UInt8](repeating: 7, count: 8)) }

    static func setting(_ name: UInt8, _ value: UInt32) -> [UInt8] { [0, name] + number(value) }

    /// RFC 7541 section 6.2.2.
    static func literal(_ name: String, _ value: String) -> [UInt8] {
        [0, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.utf8.count)]
            + Array(value.utf8)
    }

    static func number(_ value: UInt32) -> [UInt8] {
        (0..<4).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) }
    }
}

/// The client's side, with one request under way on stream 1.
private final class Client: HTTP2Session {
    final class Body: HTTP2Body {
        var received: [UInt8] = []
        override func didReceive(_ bytes: Span<UInt8>) { received += Array(copying: bytes) }
    }

    let body = Body()
    var heads: [String] = []
    var trailers: [UInt8] = []
    var closed: [Int32: UInt32] = [:]
    private let pool = BufferPool(capacity: 4)

    init() {
        super.init(.client)
        _ = begin()
    }

    func begin() -> Int32? {
        let stream = request(
            RequestHead(method: "GET", target: "/", host: "h"), hasBody: false, body)
        drain()
        return stream
    }

    override func didReceiveHead(_ head: HTTP2Head, stream: Int32, hasBody: Bool) {
        heads.append(
            String(decoding: head.response(hasBody: hasBody, to: "GET"), as: UTF8.self))
    }

    override func didReceiveEnd(stream: Int32, trailers: [UInt8]) { self.trailers = trailers }
    override func didClose(stream: Int32, code: UInt32) { closed[stream] = code }

    /// Takes the frames one by one, and answers with what this side sent.
    func take(_ frames: [[UInt8]]) -> HTTP2ClientTests.Ending {
        var sent: [UInt8] = []
        for frame in frames {
            do throws(HTTP2Error) {
                try receive(frame.span, now: 0)
            } catch {
                sent += drain()
                break
            }
            sent += drain()
        }
        return Client.ending(sent)
    }

    @discardableResult
    private func drain() -> [UInt8] {
        var sent: [UInt8] = []
        while wantsToSend, let record = pool.lend() {
            guard let filled = try? fill(record), !filled.isEmpty else { break }
            sent += Array(copying: filled.bytes)
        }
        return sent
    }

    /// GOAWAY with an error, else RST_STREAM, among what was sent.
    private static func ending(_ sent: [UInt8]) -> HTTP2ClientTests.Ending {
        var ending = HTTP2ClientTests.Ending.fine
        var rest = sent[...]
        while rest.count >= 9 {
            let head = Array(rest.prefix(9))
            let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
            let payload = Array(rest.dropFirst(9).prefix(length))
            rest = rest.dropFirst(9 + length)
            if head[3] == 7, payload[7] != 0 { return .connection(UInt32(payload[7])) }
            if head[3] == 3 { ending = .stream }
        }
        return ending
    }
}
