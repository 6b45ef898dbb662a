import HTTP
import Testing

@Suite struct RequestHeadTests {
    @Test func readsAHeadAndLeavesTheBody() throws {
        let head = "POST /v1/chat?x=%20 HTTP/1.1\r\nHost: h:80\r\nContent-Length:\t 12 \r\n\r\n"
        let message = bytes(head + "hello, world")
        let parsed = try #require(try RequestHead.parse(message.span, limits: HTTPLimits()))
        #expect(parsed.consumed == head.utf8.count)
        #expect(parsed.head.method == "POST")
        #expect(parsed.head.target == "/v1/chat?x=%20")
        #expect(parsed.head.path == "/v1/chat")
        #expect(parsed.head.host == "h:80")
        #expect(parsed.head.minorVersion == 1)
        #expect(parsed.head.framing == .length(12))
        #expect(!parsed.head.wantsClose)
        #expect(!parsed.head.expectsContinue)
        let written = String(decoding: parsed.head.serialise(), as: UTF8.self)
        #expect(
            written == "POST /v1/chat?x=%20 HTTP/1.1\r\nHost: h:80\r\nContent-Length: 12\r\n\r\n"
        )
    }

    @Test func needsEveryByte() {
        let message = request("Content-Length: 3", "X: y")
        for count in 0..<message.count {
            #expect(parseRequest(Array(message[..<count])) == .incomplete, "at \(count)")
        }
        #expect(parseRequest(message).framing == .length(3))
    }

    @Test(arguments: [
        (request(), BodyFraming.none),
        (request("Content-Length: 0"), .length(0)),
        (request("content-length: 007"), .length(7)),
        (request("Content-Length: 9223372036854775807"), .length(9_223_372_036_854_775_807)),
        (request("Transfer-Encoding: chunked"), .chunked),
        (request("transfer-encoding:\tChunKed "), .chunked),
        (request(start: "OPTIONS * HTTP/1.1"), .none),
        (request("X:", "Y: \u{e9}"), .none),
        (bytes("GET / HTTP/1.0\r\n\r\n"), .none),
        (bytes("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"), .none),
        (bytes("GET / HTTP/1.1\r\nHost: [2001:db8::1:192.0.2.1]\r\n\r\n"), .none),
        (bytes("GET / HTTP/1.1\r\nHost: [1:2:3:4:5:6:7::]\r\n\r\n"), .none),
        (bytes("GET //a;b/@:,'()*!$&+=~._-?/?q HTTP/1.1\r\nHost: a_b.c-d:65535\r\n\r\n"), .none),
    ])
    func accepts(_ message: [UInt8], _ framing: BodyFraming) {
        #expect(parseRequest(message).framing == framing)
    }

    @Test(arguments: [
        (request("Content-Length: 1", "Transfer-Encoding: chunked"), "http.framing.both", 400),
        (request("Transfer-Encoding: chunked", "Content-Length: 1"), "http.framing.both", 400),
        (request("Content-Length: 1", "Content-Length: 1"), "http.content_length.repeated", 400),
        (request("Content-Length: 1", "Content-Length: 2"), "http.content_length.repeated", 400),
        (request("Content-Length: 1, 1"), "http.content_length", 400),
        (request("Content-Length: +1"), "http.content_length", 400),
        (request("Content-Length: -1"), "http.content_length", 400),
        (request("Content-Length: 0x1"), "http.content_length", 400),
        (request("Content-Length: 1 1"), "http.content_length", 400),
        (request("Content-Length: 1_0"), "http.content_length", 400),
        (request("Content-Length: 1.0"), "http.content_length", 400),
        (request("Content-Length:"), "http.content_length", 400),
        (request("Content-Length: 9223372036854775808"), "http.content_length.too_large", 413),
        (request("Content-Length: 18446744073709551617"), "http.content_length.too_large", 413),
        (request("Transfer-Encoding: gzip"), "http.transfer_encoding.unknown", 501),
        (request("Transfer-Encoding: identity"), "http.transfer_encoding.unknown", 501),
        (request("Transfer-Encoding: gzip, chunked"), "http.transfer_encoding.unknown", 501),
        (request("Transfer-Encoding: xchunked"), "http.transfer_encoding.unknown", 501),
        (request("Transfer-Encoding: chunked, gzip"), "http.transfer_encoding.not_last", 400),
        (request("Transfer-Encoding: chunked, chunked"), "http.transfer_encoding.repeated", 400),
        (
            request("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
            "http.transfer_encoding.repeated", 400
        ),
        (
            request("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
            "http.transfer_encoding.not_last", 400
        ),
        (request("Transfer-Encoding: chunked,"), "http.transfer_encoding", 400),
        (request("Transfer-Encoding: chunked;q=1"), "http.transfer_encoding", 400),
        (request("Transfer-Encoding: \"chunked\""), "http.transfer_encoding", 400),
        (request("Transfer-Encoding:"), "http.transfer_encoding", 400),
        (
            request("Transfer-Encoding: chunked", start: "GET / HTTP/1.0"),
            "http.transfer_encoding.version", 400
        ),
        (request("Transfer-Encoding: \u{b}chunked"), "http.line.control", 400),
    ])
    func refusesFraming(_ message: [UInt8], _ code: String, _ status: Int) {
        #expect(parseRequest(message) == .refused(code, status))
    }

    @Test(arguments: [
        (request("Content-Length : 1"), "http.field.blank_before_colon", 400),
        (request("Content-Length\t: 1"), "http.field.blank_before_colon", 400),
        (request("A: b\nC: d"), "http.line.bare_lf", 400),
        (request("A: b\rC: d"), "http.line.bare_cr", 400),
        (request("A: b\r"), "http.line.bare_cr", 400),
        (request("A: b\u{0}"), "http.line.control", 400),
        (request("A: b\u{7f}"), "http.line.control", 400),
        (request("A: b", " c"), "http.field.folded", 400),
        (request("A: b", "\tc"), "http.field.folded", 400),
        (bytes("GET / HTTP/1.1\r\n Host: h\r\n\r\n"), "http.field.folded", 400),
        (request("A"), "http.field.name", 400),
        (request(": b"), "http.field.name", 400),
        (request("A(: b"), "http.field.name", 400),
        (request("\u{e9}: b"), "http.field.name", 400),
        (bytes("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), "http.start_line", 400),
        (bytes("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), "http.start_line", 400),
        (bytes(" GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "http.start_line", 400),
        (bytes("\u{16}\u{3}\u{1}"), "http.start_line", 400),
        (request(start: "GET  / HTTP/1.1"), "http.request_line", 400),
        (request(start: "GET /  HTTP/1.1"), "http.version.malformed", 400),
        (request(start: "GET / HTTP/1.1 "), "http.version.malformed", 400),
        (request(start: "GET / a HTTP/1.1"), "http.version.malformed", 400),
        (request(start: "GET\t/\tHTTP/1.1"), "http.method", 400),
        (request(start: "GET /"), "http.request_line", 400),
        (request(start: "GET"), "http.request_line", 400),
        (request(start: "G@T / HTTP/1.1"), "http.method", 400),
        (request(start: "GET / http/1.1"), "http.version.malformed", 400),
        (request(start: "GET / HTTP/1.10"), "http.version.malformed", 400),
        (request(start: "GET / HTTP/01.1"), "http.version.malformed", 400),
        (request(start: "GET / HTTP/1,1"), "http.version.malformed", 400),
        (request(start: "GET / HTTP/1.2"), "http.version", 505),
        (request(start: "GET / HTTP/0.9"), "http.version", 505),
        (bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "http.version", 505),
        (request(start: "GET http://h/ HTTP/1.1"), "http.target.form", 400),
        (request(start: "GET h:80 HTTP/1.1"), "http.target.form", 400),
        (request(start: "GET * HTTP/1.1"), "http.target.asterisk", 400),
        (request(start: "CONNECT h:80 HTTP/1.1"), "http.connect", 501),
        (request(start: "GET /#a HTTP/1.1"), "http.target.character", 400),
        (request(start: "GET /\u{e9} HTTP/1.1"), "http.target.character", 400),
        (request(start: "GET /\\ HTTP/1.1"), "http.target.character", 400),
        (request(start: "GET /a|b HTTP/1.1"), "http.target.character", 400),
        (request(start: "GET /%2 HTTP/1.1"), "http.target.percent", 400),
        (request(start: "GET /%zz HTTP/1.1"), "http.target.percent", 400),
        (
            request(start: String(repeating: "M", count: 33) + " / HTTP/1.1"),
            "http.method.too_large", 501
        ),
    ])
    func refusesSyntax(_ message: [UInt8], _ code: String, _ status: Int) {
        #expect(parseRequest(message) == .refused(code, status))
    }

    @Test(arguments: [
        ("", "missing"), ("Host: a\r\nHost: a\r\n", "repeated"), ("Host:\r\n", "invalid"),
        ("Host: a b\r\n", "invalid"), ("Host: a,b\r\n", "invalid"), ("Host: a/b\r\n", "invalid"),
        ("Host: u@a\r\n", "invalid"), ("Host: a:\r\n", "invalid"), ("Host: a:b\r\n", "invalid"),
        ("Host: a:65536\r\n", "invalid"), ("Host: :80\r\n", "invalid"),
        ("Host: [::1\r\n", "invalid"), ("Host: [::1]80\r\n", "invalid"),
        ("Host: [1::2::3]\r\n", "invalid"), ("Host: [:::]\r\n", "invalid"),
        ("Host: [1:2]\r\n", "invalid"), ("Host: [12345::]\r\n", "invalid"),
        ("Host: [:1:2:3:4:5:6:7]\r\n", "invalid"), ("Host: [::1%25eth0]\r\n", "invalid"),
        ("Host: [1:2:3:4:5:6:7:8:9]\r\n", "invalid"), ("Host: [::1.2.3]\r\n", "invalid"),
        ("Host: [::256.1.1.1]\r\n", "invalid"), ("Host: \u{e9}\r\n", "invalid"),
    ])
    func refusesHosts(_ line: String, _ reason: String) {
        let message = bytes("GET / HTTP/1.1\r\n\(line)\r\n")
        #expect(parseRequest(message) == .refused("http.host.\(reason)", 400))
    }

    @Test(arguments: [
        (request("Expect: 100-Continue"), nil), (request("Expect: 200-ok"), "http.expect"),
        (request("Expect: 100-continue, x"), "http.expect"), (request("Upgrade: h2c"), nil),
        (request("Connection: Upgrade", "Upgrade: websocket"), "http.upgrade"),
        (request("Connection: keep-alive, close"), nil),
        (request("Connection: close;x"), "http.connection"),
        (request("Connection: Content-Length"), "http.connection.option"),
        (request("Connection: close, authorization"), "http.connection.option"),
        (request("Connection: X-Ratel-Peer"), "http.connection.option"),
    ])
    func judgesConnectionFields(_ message: [UInt8], _ code: String?) {
        #expect(parseRequest(message).code == code)
    }

    @Test func knowsWhoWaitsAndWhoCloses() throws {
        func head(_ message: [UInt8]) throws -> RequestHead {
            try #require(try RequestHead.parse(message.span, limits: HTTPLimits())).head
        }
        #expect(try head(request("Expect: 100-continue")).expectsContinue)
        #expect(
            try !head(request("Expect: 100-continue", start: "GET / HTTP/1.0")).expectsContinue
        )
        #expect(try head(request("Connection: x, CLOSE")).wantsClose)
        #expect(try !head(request("Connection: keep-alive")).wantsClose)
        #expect(try head(request("Connection: keep-alive", start: "GET / HTTP/1.0")).wantsClose)
    }

    @Test func refusesAtTheLimitAndNotBefore() {
        var limits = HTTPLimits()
        limits.maxHeadBytes = 100
        limits.maxTargetBytes = 20
        limits.maxFields = 3
        let fixed = request("A: ").count
        let fits = request("A: " + String(repeating: "x", count: 100 - fixed))
        #expect(fits.count == 100)
        #expect(parseRequest(fits, limits: limits).framing == BodyFraming.none)
        let over = request("A: " + String(repeating: "x", count: 101 - fixed))
        #expect(parseRequest(over, limits: limits) == .refused("http.head.too_large", 431))
        #expect(
            parseRequest(Array(over[..<100]), limits: limits)
                == .refused("http.head.too_large", 431)
        )
        #expect(parseRequest(Array(over[..<99]), limits: limits) == .incomplete)

        let target = "/" + String(repeating: "x", count: 19)
        #expect(parseRequest(request(start: "GET \(target) HTTP/1.1"), limits: limits).code == nil)
        #expect(
            parseRequest(request(start: "GET \(target)x HTTP/1.1"), limits: limits)
                == .refused("http.target.too_large", 414)
        )
        let endless = bytes("GET /" + String(repeating: "x", count: 95))
        #expect(parseRequest(endless, limits: limits) == .refused("http.target.too_large", 414))

        #expect(parseRequest(request("A: 1", "B: 2"), limits: limits).code == nil)
        #expect(
            parseRequest(request("A: 1", "B: 2", "C: 3"), limits: limits)
                == .refused("http.fields.too_many", 431)
        )
    }

    @Test func aRefusalShowsNoValue() {
        let secret = request("Authorization: Bearer sk-secret", "Content-Length: sk-secret")
        do {
            _ = try RequestHead.parse(secret.span, limits: HTTPLimits())
            Issue.record("a bad length was accepted")
        } catch {
            #expect(!"\(error)".contains("secret"))
        }
    }
}
