import HTTP
import Testing

@Suite struct ResponseHeadTests {
    @Test(arguments: [
        (response(), "GET", BodyFraming.untilClose),
        (response("Content-Length: 5"), "GET", .length(5)),
        (response("Transfer-Encoding: chunked"), "POST", .chunked),
        (response("Content-Length: 5"), "HEAD", .none),
        (response("Transfer-Encoding: chunked"), "HEAD", .none),
        (response(), "HEAD", .none),
        (response(start: "HTTP/1.1 204 No Content"), "GET", .none),
        (response("Content-Length: 0", start: "HTTP/1.1 204 No Content"), "GET", .none),
        (response("Content-Length: 9", start: "HTTP/1.1 304 Not Modified"), "GET", .none),
        (response(start: "HTTP/1.1 100 Continue"), "POST", .none),
        (response(start: "HTTP/1.1 103 "), "POST", .none),
        (response(start: "HTTP/1.0 200 OK"), "GET", .untilClose),
        (response("Content-Length: 2", start: "HTTP/1.1 500 "), "GET", .length(2)),
        (response("A:", start: "HTTP/1.1 200 \u{e9} b"), "GET", .untilClose),
    ])
    func accepts(_ message: [UInt8], _ method: String, _ framing: BodyFraming) {
        #expect(parseResponse(message, method: method).framing == framing)
        for count in 0..<message.count {
            #expect(parseResponse(Array(message[..<count]), method: method) == .incomplete)
        }
    }

    @Test(arguments: [
        (response("Content-Length: 1", "Transfer-Encoding: chunked"), "http.framing.both"),
        (response("Content-Length: 1", "Content-Length: 1"), "http.content_length.repeated"),
        (response("Content-Length: -1"), "http.content_length"),
        (response("Transfer-Encoding: gzip"), "http.transfer_encoding.unknown"),
        (response("Transfer-Encoding: chunked, x"), "http.transfer_encoding.not_last"),
        (
            response("Transfer-Encoding: chunked", start: "HTTP/1.0 200 OK"),
            "http.transfer_encoding.version"
        ),
        (response("Content-Length: 1", start: "HTTP/1.1 204 x"), "http.response.body"),
        (response("Content-Length: 1", start: "HTTP/1.1 100 x"), "http.response.body"),
        (response("Transfer-Encoding: chunked", start: "HTTP/1.1 204 x"), "http.response.body"),
        (response("A : b"), "http.field.blank_before_colon"),
        (response("A: b\nB: c"), "http.line.bare_lf"),
        (response("A: b", " c"), "http.field.folded"),
        (response(start: "HTTP/1.1 101 Switching Protocols"), "http.response.upgrade"),
        (response(start: "HTTP/1.1 099 x"), "http.status"),
        (response(start: "HTTP/1.1 600 x"), "http.status"),
        (response(start: "HTTP/1.1 20 OK"), "http.status_line"),
        (response(start: "HTTP/1.1 2000 OK"), "http.status_line"),
        (response(start: "HTTP/1.1 200"), "http.status_line"),
        (response(start: "HTTP/1.1  200 OK"), "http.status_line"),
        (response(start: "HTTP/1.1\t200 OK"), "http.status_line"),
        (response(start: "HTTP/2.0 200 OK"), "http.version"),
        (response(start: "ICY 200 OK"), "http.version.malformed"),
        (bytes("\r\nHTTP/1.1 200 OK\r\n\r\n"), "http.start_line"),
        (response("A: " + String(repeating: "x", count: 16 * 1024)), "http.head.too_large"),
    ])
    func refuses(_ message: [UInt8], _ code: String) {
        #expect(parseResponse(message) == .refused(code, 502))
    }

    @Test func knowsWhatEndsTheConnection() throws {
        func head(_ message: [UInt8]) throws -> ResponseHead {
            try #require(
                try ResponseHead.parse(
                    message.span,
                    limits: HTTPLimits(),
                    requestMethod: "GET"
                )
            ).head
        }
        #expect(try head(response()).wantsClose)
        #expect(try !head(response("Content-Length: 1")).wantsClose)
        #expect(try head(response("Content-Length: 1", "Connection: close")).wantsClose)
        #expect(try head(response("Content-Length: 1", start: "HTTP/1.0 200 OK")).wantsClose)
        #expect(try head(response(start: "HTTP/1.1 100 Continue")).isInterim)
    }

    @Test func writesItsOwnJSON() throws {
        let body = Array("{\"é\":1}".utf8)
        let head = ResponseHead.own(
            status: 403, contentType: "application/json", length: body.count, closes: true)
        let written = head.serialise() + body
        let parsed = try #require(
            try ResponseHead.parse(written.span, limits: HTTPLimits(), requestMethod: "GET")
        )
        #expect(parsed.head.status == 403)
        #expect(parsed.head.framing == .length(8))
        #expect(parsed.head.wantsClose)
        #expect(parsed.head.fields.firstValue(named: "content-type") == "application/json")
        #expect(written.count - parsed.consumed == 8)
    }
}
