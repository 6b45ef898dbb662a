import Bytes
import Keys
import Receipts
import Streams
import Testing

@testable import Ratel

/// Streams of events, however reads cut them.
struct EventTapTests {
    /// Drops events with a `!`, and cuts `[…]` out of the rest.
    private final class Sieve: EventTap {
        var seen: [[UInt8]] = []

        override func event(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Verdict {
            let event = range.map { bytes[$0] }
            seen.append(event)
            if event.contains(UInt8(ascii: "!")) { return .drop }
            guard let open = event.firstIndex(of: UInt8(ascii: "[")),
                let close = event.firstIndex(of: UInt8(ascii: "]"))
            else { return .keep }
            return .cut(range.lowerBound + open..<range.lowerBound + close + 1)
        }
    }

    private static let events = [
        "data: k1\n\n", "data: !\n\n", ": comment\n\n", "event: x\r\ndata: a[b]c\r\n\r\n",
        "data: [all]\n\n", "\ndata: k2\ndata: more\n\n", "data: k3\n\n",
    ]
    private static let kept =
        "data: k1\n\n: comment\n\nevent: x\r\ndata: ac\r\n\r\ndata: \n\n"
        + "\ndata: k2\ndata: more\n\ndata: k3\n\n"

    private func pass(_ text: [UInt8], cuts: [Int], through tap: EventTap) -> [UInt8] {
        let pool = BufferPool(capacity: 8)
        var output: [UInt8] = []
        for (start, end) in zip([0] + cuts, cuts + [text.count]) {
            guard var buffer = pool.lend() else { return [] }
            _ = buffer.append(text.span.extracting(start..<end))
            if let changed = tap.rewrite(buffer) { output += Array(copying: changed.bytes) }
            while tap.hasMore {
                guard var more = pool.lend() else { return [] }
                // Little at a time, as a slow caller takes it.
                tap.fill(&more, atMost: 7)
                output += Array(copying: more.bytes)
            }
        }
        return output
    }

    @Test func everyCutIsTheSame() {
        let text = Array(EventTapTests.events.joined().utf8)
        for first in 0...text.count {
            for second in stride(from: first, through: text.count, by: 5) {
                let tap = Sieve()
                let output = pass(text, cuts: [first, second], through: tap)
                #expect(String(decoding: output, as: UTF8.self) == EventTapTests.kept)
                #expect(
                    tap.seen.map { String(decoding: $0, as: UTF8.self) } == EventTapTests.events)
                #expect(tap.isAtBoundary && tap.remainder.isEmpty)
            }
        }
    }

    @Test func anEventWithoutEndIsNotKeptForEver() {
        let tap = Sieve()
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 16 << 10)
        for _ in 0..<(EventTap.maxEvent >> 14) { _ = pass(piece, cuts: [], through: tap) }
        #expect(tap.trouble == nil)
        _ = pass([1], cuts: [], through: tap)
        #expect(tap.trouble?.code == "upstream.event_too_long")
    }
}

/// What events of each API say.
struct EventReadingTests {
    private func read(_ text: String) -> (EventReading, [UInt8]) {
        let bytes = Array(text.utf8)
        return (EventReading(bytes.span, 0..<bytes.count), bytes)
    }

    private func counts(_ text: String) -> Usage {
        let (reading, bytes) = read(text)
        var counts = EngineCounts()
        reading.count(bytes.span, into: &counts)
        return counts.usage
    }

    @Test func countsOfEachAPI() {
        #expect(
            counts(
                #"data: {"choices":[],"usage":{"prompt_tokens":36,"completion_tokens":24,"#
                    + #""prompt_tokens_details":{"cached_tokens":35},"#
                    + #""completion_tokens_details":{"reasoning_tokens":3}}}"# + "\n\n")
                == Usage(input: 36, cached: 35, output: 24, reasoning: 3))
        #expect(
            counts(
                #"data: {"type":"response.completed","response":{"usage":{"input_tokens":14,"#
                    + #""output_tokens":12,"input_tokens_details":{"cached_tokens":13}}}}"#)
                == Usage(input: 14, cached: 13, output: 12, reasoning: 0))
        // Anthropic's counts leave out what was cached.
        #expect(
            counts(
                #"data: {"type":"message_start","message":{"usage":{"input_tokens":4,"#
                    + #""cache_read_input_tokens":10,"cache_creation_input_tokens":2}}}"#)
                == Usage(input: 16, cached: 10, output: 0, reasoning: 0))
    }

    @Test func textCannotPassForCounts() {
        let usage = counts(
            #"data: {"choices":[{"delta":{"content":"\",\"usage\":{\"completion_tokens\":9}"}}]}"#)
        #expect(usage == .none)
        #expect(counts(#"data: {"choices":[{"usage":{"completion_tokens":9}}]}"#) == .none)
        #expect(counts(#"data: {"usage":{"completion_tokens":-9,"prompt_tokens":1e9}}"#) == .none)
        // No part is more than its whole.
        #expect(
            counts(#"data: {"usage":{"prompt_tokens_details":{"cached_tokens":9}}}"#) == .none)
    }

    @Test func endsOfEachAPI() {
        func ends(_ text: String, _ path: InferencePath) -> Bool {
            let (reading, bytes) = read(text)
            return reading.isTerminator(bytes.span, of: path)
        }
        #expect(ends("data: [DONE]\n\n", .chat) && ends("data:[DONE]\r\n\r\n", .completions))
        #expect(!ends(#"data: {"a":"[DONE]"}"#, .chat) && !ends("data: [DONE]\n\n", .messages))
        #expect(ends("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", .messages))
        #expect(ends(#"data: {"type":"response.completed"}"#, .responses))
        #expect(!ends(#"data: {"type":"response.created"}"#, .responses))
    }

    @Test func onlyTextIsMeasured() {
        func count(_ text: String) -> Int64 {
            let bytes = Array(text.utf8)
            return ContentMeter.text(bytes.span, 0..<bytes.count).count
        }
        #expect(count(#"[{"index":0,"delta":{"role":"assistant","content":"abcd"}}]"#) == 4)
        #expect(count(#"[{"delta":{"reasoning_content":"ab","content":null}}]"#) == 2)
        #expect(
            count(#"[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]"#)
                == 2)
        #expect(count(#"[{"finish_reason":"stop","delta":{}}]"#) == 0)
        #expect(count(#"[{"text":"a\"b"}]"#) == 4)
    }
}

/// Bodies of requests, of which only what is needed is read.
struct RequestBodyTests {
    @Test func whatIsNotChangedStaysAsItWas() throws {
        let text = #"{ "b" : 1.50 , "model":"x", "messages":[ {"a":"é"} ] }"#
        let body = try RequestBody(Array(text.utf8))
        let changed = body.setting([
            ("model", .string("y")), ("b", nil), ("new", .bool(true)), ("absent", nil),
        ])
        #expect(
            String(decoding: changed, as: UTF8.self)
                == #"{"model":"y","messages":[ {"a":"é"} ],"new":true}"#)
    }

    @Test(arguments: [
        #"{"model":"a","model":"b"}"#, #"{"mod\u0065l":"a"}"#, "[]", "", #"{"a":1"#,
    ])
    func whatCanBeReadInTwoWaysIsRefused(_ text: String) {
        #expect(throws: Failure.self) { _ = try RequestBody(Array(text.utf8)) }
    }

    @Test func errorsOfEnginesHaveACode() {
        func code(_ text: String, _ status: Int = 400) -> String? {
            JSONParser.parse(MappedError(Array(text.utf8), status: status).bytes)?["error"]?[
                "code"]?
                .text
        }
        #expect(
            code(
                #"{"error":{"message":"This model's maximum context length is 1024 tokens.","#
                    + #""type":"BadRequestError","code":400}}"#) == "context_length_exceeded")
        #expect(code(#"{"error":{"message":"no","code":"bad_x"}}"#) == "bad_x")
        #expect(code(#"{"message":"no","code":422}"#, 422) == "invalid_request")
        #expect(code("<html>") == "invalid_request" && code("", 413) == "request_too_large")
    }

    @Test func moneyIsWrittenWithoutRounding() {
        #expect(Dollars.text(1) == "0.000000001" && Dollars.text(2_500_000_000) == "2.5")
        #expect(
            Dollars.perToken(100_000_000) == "0.0000001"
                && Dollars.perToken(1) == "0.000000000000001")
        #expect(Dollars.text(0) == "0")
    }
}

/// How many requests wait, as engines' own pages say it.
struct QueueWatchTests {
    @Test func pagesOfEachEngine() {
        func waiting(_ text: String) -> Int? { QueueWatch.waiting(Array(text.utf8)) }
        #expect(
            waiting(
                "# HELP x\nvllm:num_requests_waiting{model_name=\"a b\",engine=\"0\"} 2.0\n"
                    + "vllm:num_requests_waiting{engine=\"1\"} 3.0\n") == 5)
        #expect(waiting("tgi_queue_size 7\n") == 7)
        #expect(waiting("vllm:num_requests_waiting_total 9\nother 1\n") == nil)
        #expect(waiting("llamacpp:requests_deferred 0") == 0)
    }
}
