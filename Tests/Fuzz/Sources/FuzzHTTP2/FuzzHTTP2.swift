import Bytes
import FuzzSupport
import Glibc
import HTTP

/// What one connection brought, one line for each event: of a client to this server, or of a server
/// to this client, which has asked for something.
final class Observer: HTTP2Session {
    var events: [String] = []
    private let pool = BufferPool(capacity: 2)
    private lazy var answer = Answer(self)

    override init(_ role: Role, limits: HTTP2Limits = HTTP2Limits()) {
        super.init(role, limits: limits)
        guard role == .client else { return }
        for _ in 0..<3 {
            let head = RequestHead(method: "GET", target: "/", host: "h")
            _ = request(head, hasBody: false, answer)
        }
    }

    override func didReceiveHead(_ head: HTTP2Head, stream: Int32, hasBody: Bool) {
        let text =
            role == .server
            ? head.request(hasBody: hasBody) : head.response(hasBody: hasBody, to: "GET")
        events.append("head \(stream) \(hasBody) \(text)")
        guard role == .server else { return checkResponse(text) }
        check(text, hasBody && !head.isTooLarge)
        attach(answer, stream: stream)
        answerTo(stream)
    }

    override func didReceiveEnd(stream: Int32, trailers: [UInt8]) {
        events.append("end \(stream) \(trailers)")
    }

    override func didClose(stream: Int32, code: UInt32) { events.append("close \(stream) \(code)") }

    /// What comes out is one head of HTTP/1.1, or refused as one: never the half of one, or two.
    private func check(_ head: [UInt8], _ hasBody: Bool) {
        guard let read = try? RequestHead.parse(head.span, limits: HTTPLimits()) else { return }
        require(read.consumed == head.count, "a head is one head")
        if !hasBody { require(read.head.framing == .none, "no body is announced") }
    }

    private func checkResponse(_ head: [UInt8]) {
        let read = try? ResponseHead.parse(head.span, limits: HTTPLimits(), requestMethod: "GET")
        guard let read else { return }
        require(read.consumed == head.count, "a head is one head")
        require(read.head.framing != .untilClose || read.head.isInterim, "the end is known")
    }

    private func answerTo(_ stream: Int32) {
        let text = Array("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n".utf8)
        let read = try? ResponseHead.parse(text.span, limits: HTTPLimits(), requestMethod: "GET")
        guard let head = read?.head else { fatalError("a good head") }
        respond(stream: stream, head, answer)
    }

    /// Sends all there is to nobody.
    func drain() {
        while wantsToSend {
            guard let record = pool.lend(), let filled = try? fill(record) else { return }
            if filled.isEmpty { return }
        }
    }
}

final class Answer: HTTP2Body {
    private unowned let session: HTTP2Session

    init(_ session: HTTP2Session) {
        self.session = session
        super.init()
    }

    override func didReceive(_ bytes: Span<UInt8>) { session.consumed(bytes.count) }
    override var trailers: [UInt8] { Array("x-sum: 3\r\n".utf8) }
    override func available() -> (count: Int, isLast: Bool) { (3, true) }
    override func take(_ count: Int, into output: inout Buffer) {
        _ = output.append([UInt8](repeating: 0x61, count: count).span)
    }
}

/// The client's side of a connection begins so (RFC 9113 section 3.4).
let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

func outcome(
    _ role: HTTP2Session.Role, _ bytes: [UInt8], _ cuts: [Int]
) -> (events: [String], error: HTTP2Error?) {
    let session = Observer(role)
    session.drain()
    var from = 0
    for cut in cuts + [bytes.count] {
        do throws(HTTP2Error) {
            try session.receive(bytes.span.extracting(from..<cut), now: 0)
        } catch {
            session.drain()
            return (session.events, error)
        }
        from = cut
    }
    session.drain()
    return (session.events, nil)
}

func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    let all = input.bytes
    let role: HTTP2Session.Role = (all.first ?? 0) & 1 == 0 ? .server : .client
    // A server begins with SETTINGS.
    let begin = role == .server ? preface : [0, 0, 0, 4, 0, 0, 0, 0, 0]
    let bytes = begin + all.dropFirst()
    let whole = outcome(role, bytes, [])
    let cuts = input.cuts(4).map { min(bytes.count, $0 + begin.count) }
    let parts = outcome(role, bytes, cuts)
    // After the end of a connection less may have come of it.
    if whole.error == nil, parts.error == nil {
        require(whole.events == parts.events, "a split changes nothing")
    }
    return 0
}

@main struct FuzzHTTP2 {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}
