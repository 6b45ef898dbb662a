import HTTP
import Testing

@Suite struct BodyReaderTests {
    @Test func readsEachFraming() {
        let text = bytes("hello")
        #expect(readBody(.none, text) == Reading(finished: true))
        #expect(readBody(.length(0), text) == Reading(finished: true))
        #expect(
            readBody(.length(3), text) == Reading(data: bytes("hel"), consumed: 3, finished: true)
        )
        #expect(readBody(.length(9), text) == Reading(data: text, consumed: 5))
        #expect(readBody(.untilClose, text) == Reading(data: text, consumed: 5))
        let chunks = bytes(
            "2\r\nhe\r\n003;a=b;c;d=\"x\\\"y;z\"\r\nllo\r\n0\r\nDigest: x\r\n\r\nnext"
        )
        #expect(
            readBody(.chunked, chunks)
                == Reading(data: text, consumed: chunks.count - 4, finished: true)
        )
    }

    @Test func namesTheBytesOfAChunk() throws {
        let body = bytes("2\r\nhe\r\n0\r\n\r\nX")
        var reader = BodyReader(.chunked)
        var segments: [String] = []
        var offset = 0
        while segments.count < 10 {
            let segment = try reader.next(body.span, from: offset)
            segments.append("\(segment.kind) \(segment.end)")
            offset = segment.end
            if segment.kind == .end { break }
        }
        #expect(segments == ["framing 3", "data 5", "framing 10", "framing 12", "end 12"])
        #expect(reader.dataCount == 2)
    }

    @Test func knowsATruncatedBody() throws {
        var close = BodyReader(.untilClose)
        _ = try close.skim(bytes("abc").span)
        #expect(!close.isFinished)
        let closeEnded = close.finishedByClose()
        #expect(closeEnded)
        #expect(close.dataCount == 3)

        var short = BodyReader(.length(4))
        _ = try short.skim(bytes("abc").span)
        let shortEnded = short.finishedByClose()
        #expect(!shortEnded)
        _ = try short.skim(bytes("d").span)
        let shortEndedNow = short.finishedByClose()
        #expect(shortEndedNow)

        var chunked = BodyReader(.chunked)
        _ = try chunked.skim(bytes("1\r\na\r\n0\r\n").span)
        let chunkedEnded = chunked.finishedByClose()
        #expect(!chunkedEnded)
    }

    @Test(arguments: [
        ("\r\n", "http.chunk.size"), (" 1\r\na\r\n", "http.chunk.size"),
        ("+1\r\na\r\n", "http.chunk.size"), ("-1\r\n", "http.chunk.size"),
        ("0x1\r\na\r\n", "http.chunk.size"), ("1 \r\na\r\n", "http.chunk.size"),
        ("1\t;a\r\na\r\n", "http.chunk.size"), ("1\na\r\n", "http.chunk.size"),
        ("1\ra", "http.chunk.size"), ("g\r\n", "http.chunk.size"),
        ("00000000000000001\r\na\r\n", "http.chunk.size"),
        ("8000000000000000\r\n", "http.chunk.size"),
        ("ffffffffffffffff\r\n", "http.chunk.size"),
        ("10000000000000000\r\n", "http.chunk.size"),
        ("1\r\nab", "http.chunk.end"), ("1\r\na\n", "http.chunk.end"),
        ("1\r\na\rb", "http.chunk.end"), ("1\r\na1\r\n", "http.chunk.end"),
        ("1;\r\na\r\n", "http.chunk.extension"), ("1;=a\r\na\r\n", "http.chunk.extension"),
        ("1; a\r\na\r\n", "http.chunk.extension"), ("1;a =b\r\na\r\n", "http.chunk.extension"),
        ("1;a=\r\na\r\n", "http.chunk.extension"), ("1;a\na\r\n", "http.chunk.extension"),
        ("1;a=\"b\r\n", "http.chunk.extension"), ("1;a=\"b\"c\r\n", "http.chunk.extension"),
        ("1;a=\"b\n\"\r\n", "http.chunk.extension"), ("1;a=\"\\\r\"", "http.chunk.extension"),
        ("0\r\n\n", "http.trailer"), ("0\r\n a: b\r\n\r\n", "http.trailer"),
        ("0\r\na\r\n\r\n", "http.trailer"), ("0\r\na : b\r\n\r\n", "http.trailer"),
        ("0\r\na: b\n\r\n", "http.trailer"), ("0\r\na: b\r\r\n", "http.trailer"),
        ("0\r\na: \u{1}\r\n\r\n", "http.trailer"), ("0\r\n: b\r\n\r\n", "http.trailer"),
        ("0\r\na: b\r\n c\r\n\r\n", "http.trailer"),
        ("0\r\nContent-Length: 1\r\n\r\n", "http.trailer.forbidden"),
        ("0\r\na: b\r\nTRANSFER-ENCODING: x\r\n\r\n", "http.trailer.forbidden"),
        ("0\r\nHost: x\r\n\r\n", "http.trailer.forbidden"),
        ("0\r\nAuthorization: x\r\n\r\n", "http.trailer.forbidden"),
        ("0\r\nX-Ratel-Peer: x\r\n\r\n", "http.trailer.forbidden"),
        ("0\r\nX-Forwarded-For: x\r\n\r\n", "http.trailer.forbidden"),
        (
            "0\r\nProxy-Authentication-Info-And-More-Than-Thirty-Two: x\r\n",
            "http.trailer.forbidden"
        ),
    ])
    func refuses(_ body: String, _ code: String) {
        let body = bytes(body)
        #expect(readBody(.chunked, body).code == code)
        #expect(skimBody(.chunked, body).code == code)
        let everywhere = Array(1..<body.count)
        #expect(readBody(.chunked, body, cuts: everywhere).code == code)
    }

    @Test func refusesAtTheLimitsAndNotBefore() {
        let names = HTTPLimits.maxChunkLine - 2
        let line = "1;" + String(repeating: "a", count: names)
        #expect(readBody(.chunked, bytes(line)).code == nil)
        #expect(readBody(.chunked, bytes(line + "a")).code == "http.chunk.line_too_large")
        let trailer = "0\r\na:" + String(repeating: "b", count: HTTPLimits.maxTrailerBytes - 6)
        let fits = bytes(trailer + "\r\n\r\n")
        #expect(readBody(.chunked, fits).finished)
        #expect(readBody(.chunked, bytes(trailer + "b\r\n\r\n")).code == "http.trailer.too_large")
        #expect(readBody(.chunked, bytes("7fffffffffffffff\r\n")).code == nil)
    }

    @Test func anySplitReadsTheSame() {
        let body = bytes("5;a=\"b\"\r\nhello\r\nA\r\n, world ok\r\n0;z\r\nX: y\r\nZ:\r\n\r\nrest")
        let whole = readBody(.chunked, body)
        #expect(whole.data == bytes("hello, world ok"))
        for first in 0...body.count {
            for second in first...body.count {
                #expect(readBody(.chunked, body, cuts: [first, second]) == whole)
                let skim = skimBody(.chunked, body, cuts: [first, second])
                #expect(skim.consumed == whole.consumed && skim.finished)
            }
        }
    }
}
