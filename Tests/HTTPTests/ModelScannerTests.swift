import HTTP
import Testing

struct ModelScannerTests {
    /// What is found, in one piece and byte by byte.
    private func find(_ text: String) -> ModelScanner.Finding {
        let input = bytes(text)
        var whole = ModelScanner()
        let finding = whole.scan(input.span, 0..<input.count)
        var slow = ModelScanner()
        for index in input.indices { _ = slow.scan(input.span, index..<index + 1) }
        #expect(slow.finding == finding, "\(text)")
        return finding
    }

    @Test func theOutermostModelIsFoundBeforeTheEnd() {
        #expect(find(#"{"model":"a""#) == .found("a"))
        #expect(find(#" { "x" : 1 , "model" : "org/name-70b" "#) == .found("org/name-70b"))
        #expect(find(#"{"m":{"model":"no"},"model":"yes""#) == .found("yes"))
        #expect(find(#"{"m":[{"model":"no"},["]","}"]],"model":"yes""#) == .found("yes"))
        #expect(find(#"{"m":"\"model\":\"no\"","model":"yes""#) == .found("yes"))
        #expect(find(#"{"m":{"x":"\\"},"model":"yes""#) == .found("yes"))
        #expect(find(#"{"a":-1.5e3,"b":true,"c":null ,"model":"yes""#) == .found("yes"))
    }

    @Test func escapesMeanWhatTheyMean() {
        #expect(find(#"{"mod\u0065l":"\u0061\/\n\ud83d\ude00""#) == .found("a/\n😀"))
        #expect(find(#"{"models":"no","mode":"no","Model":"no"}"#) == .absent)
        #expect(find(#"{"model\u0000":"no"}"#) == .absent)
        #expect(find(#"{"model":"\ud83d"}"#) == .absent)
        #expect(find(#"{"model":"\ud83dx"}"#) == .absent)
        #expect(find(#"{"model":"\ude00"}"#) == .absent)
        #expect(find(#"{"model":"\q"}"#) == .absent)
        #expect(find(#"{"model":"\u00g0"}"#) == .absent)
    }

    @Test func whereThereIsNoneNothingIsWaitedFor() {
        for text in [
            "[", "\"model\"", "1", "model=a", "{}", #"{"a":1}"#, #"{"model":1"#, #"{"model":{"#,
            #"{"model":null"#, #"{"model":["#, #"{"model":"""#, "{,", #"{"a" 1"#, #"{1:2"#,
            "{\"a\n", #"{"a":{}}"#, #"{"a":[] x"#, "--boundary",
        ] {
            #expect(find(text) == .absent, "\(text)")
        }
        for text in ["", " ", "{", #"{"model":"#, #"{"model":"a"#, #"{"a":[{"model":"b"}]"#] {
            #expect(find(text) == .pending, "\(text)")
        }
    }

    @Test func aNameHasALimit() {
        let long = String(repeating: "n", count: ModelScanner.maxName)
        #expect(find(#"{"model":""# + long + "\"") == .found(long))
        #expect(find(#"{"model":""# + long + "n\"") == .absent)
        let key = String(repeating: "k", count: 10_000)
        #expect(find("{\"\(key)\":\"\(key)\",\"model\":\"a\"") == .found("a"))
        #expect(find("{\"model\(key)\":1,\"model\":\"a\"") == .found("a"))
    }
}
