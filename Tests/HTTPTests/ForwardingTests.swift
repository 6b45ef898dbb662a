import HTTP
import Testing

@Suite struct ForwardingTests {
    private func forward(
        _ message: [UInt8],
        _ change: (inout Forwarding.RequestOptions) -> Void = { _ in }
    ) throws -> String {
        let parsed = try #require(try RequestHead.parse(message.span, limits: HTTPLimits()))
        var options = Forwarding.RequestOptions(fallbackHost: "backend:8000")
        change(&options)
        let head = Forwarding.request(parsed.head, options)
        return String(decoding: head.serialise(), as: UTF8.self)
    }

    private func answer(
        _ message: [UInt8],
        _ change: (inout Forwarding.ResponseOptions) -> Void = { _ in }
    ) throws -> String {
        let parsed = try #require(
            try ResponseHead.parse(message.span, limits: HTTPLimits(), requestMethod: "GET")
        )
        var options = Forwarding.ResponseOptions()
        change(&options)
        let head = Forwarding.response(parsed.head, options)
        return String(decoding: head.serialise(), as: UTF8.self)
    }

    @Test func removesWhatConcernsOneHop() throws {
        let message = request(
            "Connection: x-one, keep-alive, Te",
            "X-One: 1",
            "x-two: 2",
            "Keep-Alive: timeout=5",
            "Proxy-Authorization: p",
            "Proxy-Connection: c",
            "TE: trailers",
            "Upgrade: h2c",
            "X-Ratel-Peer: me",
            "x_ratel_tier: session",
            "Transfer-Encoding: chunked",
            "Authorization: Bearer k",
            start: "POST /a HTTP/1.1"
        )
        #expect(
            try forward(message) == """
                POST /a HTTP/1.1\r\nHost: h\r\nx-two: 2\r\nTransfer-Encoding: chunked\r\n\
                Authorization: Bearer k\r\n\r\n
                """
        )
    }

    @Test func raisesHTTP10() throws {
        let plain = bytes("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n")
        #expect(try forward(plain) == "GET / HTTP/1.1\r\nHost: backend:8000\r\n\r\n")
        #expect(
            try forward(plain) { $0.closing = true }
                == "GET / HTTP/1.1\r\nHost: backend:8000\r\nConnection: close\r\n\r\n"
        )
    }

    @Test func tellsTheClientAddressOnlyWhenAsked() throws {
        let message = request("X-Forwarded-For: 1.1.1.1", "x-forwarded-for: 2.2.2.2", "A: b")
        #expect(try forward(message).contains("1.1.1.1\r\nx-forwarded-for: 2.2.2.2"))
        #expect(
            try forward(message) { $0.clientAddress = .append("::1") } == """
                GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, ::1\r\nA: b\r\n\
                Forwarded: for="[::1]"\r\n\r\n
                """
        )
        #expect(
            try forward(request()) { $0.clientAddress = .append("10.0.0.1") }
                .contains("X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n")
        )
    }

    @Test func answersForTheClientsVersion() throws {
        let chunked = response(
            "Connection: close",
            "Keep-Alive: timeout=5",
            "Transfer-Encoding: chunked",
            "Trailer: X",
            "X-Ratel-Tier: session",
            "server: uvicorn"
        )
        #expect(
            try answer(chunked) == """
                HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\
                server: uvicorn\r\n\r\n
                """
        )
        let old = try answer(chunked) {
            $0.clientMinorVersion = 0
            $0.dechunk = true
            $0.stripsRatelFields = false
        }
        #expect(
            old == """
                HTTP/1.1 200 OK\r\nX-Ratel-Tier: session\r\nserver: uvicorn\r\n\
                Connection: close\r\n\r\n
                """
        )
        let untilClose = try answer(response("a: b", start: "HTTP/1.0 200 OK"))
        #expect(untilClose == "HTTP/1.1 200 OK\r\na: b\r\nConnection: close\r\n\r\n")
        let interim = try answer(response(start: "HTTP/1.1 100 Continue")) { $0.closing = true }
        #expect(interim == "HTTP/1.1 100 Continue\r\n\r\n")
        let empty = try answer(response("Content-Length: 0", start: "HTTP/1.1 204 No Content"))
        #expect(empty == "HTTP/1.1 204 No Content\r\n\r\n")
    }
}
