import Streams
import Testing

@testable import Ratel

/// What a request may cost, whatever engine reads it.
struct RequestLimitsTests {
    private func bound(_ members: String, _ path: InferencePath = .chat) throws(Failure)
        -> OutputBound
    {
        try OutputBound(RequestBody(Array("{\"a\":0\(members)}".utf8)), path)
    }

    @Test func theLargestLimitCounts() throws {
        #expect(try bound(",\"max_tokens\":5").each == 5)
        #expect(try bound(",\"max_tokens\":5,\"max_completion_tokens\":9").each == 9)
        #expect(try bound(",\"max_tokens\":9,\"max_completion_tokens\":5").each == 9)
        #expect(try bound(",\"max_tokens\":null").each == nil)
        #expect(try bound("").each == nil)
        // No limit, to some.
        #expect(try bound(",\"max_tokens\":0").each == nil)
        #expect(try bound(",\"max_tokens\":5,\"max_completion_tokens\":0").each == nil)
        #expect(try bound(",\"max_tokens\":5,\"n_predict\":-1").each == nil)
        #expect(try bound(",\"max_tokens\":5", .embeddings).limit == 0)
    }

    @Test func choicesAreCounted() throws {
        #expect(try bound(",\"max_tokens\":5,\"n\":3").limit == 15)
        #expect(try bound(",\"max_tokens\":5,\"n\":3,\"best_of\":4").limit == 20)
        #expect(try bound(",\"n\":128").tokens(within: 1 << 31) == 1 << 31)
        #expect(try bound(",\"n\":2").tokens(within: 100) == 200)
        #expect(try bound(",\"max_tokens\":500").tokens(within: 100) == 100)
    }

    @Test(arguments: [
        ("\"a,b\"", 1), ("[1,2,3]", 1), ("[ \"a,]\\\"\" , \"b\"]", 2), ("[[1,2],[3]]", 2),
        ("[]", 1), ("[\"a\"]", 1),
    ])
    func promptsAreCounted(_ prompt: String, _ count: Int64) throws {
        #expect(try bound(",\"prompt\":\(prompt)", .completions).choices == count)
    }

    @Test(arguments: [
        ("\"image_url\"", true), ("\"image_url \"", false), ("\"x\\u0069\"", true),
        ("\"caf\\u00e9\"", false), ("\"a\\\"image_url\"", false), ("\"\\\\\",\"file_id\"", true),
        ("\"previous_response_id\"", true), ("\"a\\\\\\u0061\"", true), ("\"a\\\\u0061\"", false),
        ("\"open", false),
    ])
    func referencesAreFound(_ text: String, _ isFound: Bool) {
        #expect(BodyReferences.areIn(Array("[\(text)]".utf8)) == isFound)
    }
}
