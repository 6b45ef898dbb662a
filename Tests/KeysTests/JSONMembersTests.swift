import Testing

@testable import Keys

/// Members of an object as places in its bytes.
struct JSONMembersTests {
    private func read(_ text: String) -> (names: [String], values: [String], isMalformed: Bool) {
        let bytes = Array(text.utf8)
        var cursor = JSONMembers(bytes.span, 0..<bytes.count)
        var (names, values): ([String], [String]) = ([], [])
        while let member = cursor.next(bytes.span) {
            names.append(String(decoding: bytes[member.name], as: UTF8.self))
            values.append(String(decoding: bytes[member.value], as: UTF8.self))
        }
        return (names, values, cursor.isMalformed)
    }

    @Test func valuesAreFoundWhateverTheyHold() {
        let found = read(#" {"a" : "x\"},{" , "b":[1,{"c":"]"}],"d":-1.5e3,"e":null ,"f":{}} "#)
        #expect(found.names == ["a", "b", "d", "e", "f"] && !found.isMalformed)
        #expect(found.values == [#""x\"},{""#, #"[1,{"c":"]"}]"#, "-1.5e3", "null", "{}"])
    }

    @Test(arguments: [
        "", "[]", "{", #"{"a"}"#, #"{"a":}"#, #"{"a":1"#, #"{"a":1 "b":2}"#, #"{"a":1}}"#, "{} x",
        #"{"a":"b\"}"#, #"{"a":[1}"#, #"{a:1}"#, #"{"a":1,}"#,
    ])
    func whatIsNoObjectIsMalformed(_ text: String) {
        #expect(read(text).isMalformed)
    }

    @Test func digestsInPiecesAreDigests() {
        let digest = RunningDigest()
        for piece in [Array("abc".utf8), [], Array("def".utf8)] { digest.update(piece.span) }
        #expect(digest.finish().array == Digest.sha256(Array("abcdef".utf8)))
        // And it begins again.
        digest.update(Array("x".utf8).span)
        #expect(digest.finish().array == Digest.sha256(Array("x".utf8)))
    }
}
