import Bytes
import Receipts
import Testing

@testable import MarketSimulation
@testable import Ratel

/// Events that are known by the one before them are what a reading of them says.
struct EventShapeTests {
    private static let first =
        #"data: {"id":"chatcmpl-1","created":1764200000,"model":"m","choices":[{"index":0,"delta":"#
        + #"{"content":" a"},"logprobs":null,"finish_reason":null}]}"# + "\n\n"

    /// An event with this between the quotes of its text.
    private static func event(_ text: String) -> String {
        first.replacing(#"" a""#, with: "\"\(text)\"")
    }

    /// What a reading says of an event, as the router asks it.
    private struct Said: Equatable {
        var count: Int64?
        var (isTerminator, isError) = (false, false)

        init(reading bytes: [UInt8], _ path: InferencePath) {
            let reading = EventReading(bytes.span, 0..<bytes.count)
            count = reading.text(bytes.span, of: path)?.count
            isTerminator = reading.isTerminator(bytes.span, of: path)
            isError = reading.error != nil
        }

        init(known count: Int64) { self.count = count }
    }

    private func shape(_ text: String, _ path: InferencePath = .chat) throws -> EventShape {
        let bytes = Array(text.utf8)
        let reading = EventReading(bytes.span, 0..<bytes.count)
        let text = reading.text(bytes.span, of: path)
        let found = try #require(text)
        try #require(found.strings == 1)
        var shape = EventShape()
        shape.learn(bytes.span, 0..<bytes.count, text: found.last)
        return shape
    }

    private func count(_ text: String, by shape: borrowing EventShape) -> Int64? {
        // Within more bytes, as in a read of many events.
        let bytes = Array(("xy" + text + EventShapeTests.first).utf8)
        return shape.count(bytes.span, 2..<2 + text.utf8.count)
    }

    @Test(arguments: ["", "b", "word", "é", #"\n"#, #"a\"b"#, #"\\"#, "{}[]:,"])
    func anotherTextIsKnown(_ text: String) throws {
        let shape = try shape(EventShapeTests.event("token"))
        #expect(count(EventShapeTests.event(text), by: shape) == Int64(text.utf8.count))
    }

    @Test(arguments: [
        // Text that ends early, and says more behind it.
        event(#"a"},"error":{"x":""#), event(#"","content":"b"#), event(#"a\\","x":"b"#),
        // Text that does not end where it should.
        event(#"a\"#), event("a\nb"), event("a\n\nb"),
        // Something else than the text differs.
        first.replacing("chatcmpl-1", with: "chatcmpl-2"),
        first.replacing(#""finish_reason":null"#, with: #""finish_reason":"stop""#),
        first.replacing("\n\n", with: "\r\n\r\n"), first.replacing("data", with: "dada"),
        "data: [DONE]\n\n", "\n\n", String(first.dropLast(3)) + "\n\n",
    ])
    func anythingElseIsRead(_ text: String) throws {
        let shape = try shape(EventShapeTests.first)
        #expect(count(text, by: shape) == nil)
    }

    @Test func nothingIsKnownAtFirst() {
        #expect(count(EventShapeTests.first, by: EventShape()) == nil)
        #expect(count("", by: EventShape()) == nil)
    }

    @Test func aLongEventIsNotKept() throws {
        let long = EventShapeTests.event(String(repeating: "a", count: 4 << 10))
        #expect(try count(long, by: shape(long)) == nil)
        // Though a long text may follow a short one.
        #expect(try count(long, by: shape(EventShapeTests.first)) == 4 << 10)
    }

    /// Bytes changed, cut out and put in at random: where the shape answers, it says what a reading
    /// of the same event does.
    @Test(arguments: [
        (first, InferencePath.chat),
        (#"data: {"choices":[{"text":"ab","index":0}]}"# + "\n\n", .completions),
        (
            "event: response.output_text.delta\n"
                + #"data: {"type":"response.output_text.delta","delta":"ab","n":1}"# + "\n\n",
            .responses
        ),
        (
            "event: content_block_delta\n"
                + #"data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#
                + "\n\n", .messages
        ),
    ])
    func itSaysWhatAReadingSays(_ text: String, _ path: InferencePath) throws {
        var random = SplitMix64(seed: 7)
        let shape = try shape(text, path)
        let place = Array(text.utf8).firstRange(of: Array("ab".utf8))?.lowerBound ?? 0
        let pieces = ["\"", "\\", "\n", "a", ":", "}", "{", ",", #"","error":"x"#, #"\""#, "]"]
        var known = 0
        for _ in 0..<20_000 {
            var bytes = Array(text.utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let near = Bool.random(using: &random) && place > 0
                let index =
                    near
                    ? Int.random(in: place - 2...place + 4, using: &random)
                    : Int.random(in: 0..<bytes.count, using: &random)
                let piece = Array(pieces.randomElement(using: &random)!.utf8)
                let end = min(bytes.count, index + Int.random(in: 0...2, using: &random))
                bytes.replaceSubrange(min(index, end)..<end, with: piece)
            }
            guard let count = shape.count(bytes.span, 0..<bytes.count) else { continue }
            known += 1
            #expect(Said(known: count) == Said(reading: bytes, path))
        }
        #expect(known > 100)
    }
}
