import Keys
import Receipts
import Testing

/// RFC 8785, as far as whole numbers go.
struct CanonicalJSONTests {
    private func canonical(_ text: String) throws -> String {
        let value = try #require(JSONParser.parse(Array(text.utf8)))
        return String(decoding: try CanonicalJSON.encode(value), as: UTF8.self)
    }

    /// Section 3.2.3 of RFC 8785: the names of its example, in its order.
    @Test func namesAreSortedByCodeUnits() throws {
        let text = #"""
            {"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh",
            "1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control",
            "\u00f6":"Latin Small Letter O With Diaeresis"}
            """#
        let value = try #require(JSONParser.parse(Array(try canonical(text).utf8)))
        #expect(
            value.members?.map { $0.value.text ?? "" } == [
                "Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis",
                "Euro Sign", "Emoji: Grinning Face", "Hebrew Letter Dalet With Dagesh",
            ])
    }

    @Test func onlyWhatMustBeEscapedIs() throws {
        #expect(
            try canonical(#""\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/""#)
                == #""€$\u000f\nA'B\"\\\\\"/""#)
        #expect(try canonical("[ 1 , -0 , true,null ]") == "[1,0,true,null]")
        #expect(try canonical("{}") == "{}")
    }

    @Test func numbersThatReadersReadDifferentlyAreRefused() {
        for text in ["1.5", "1e3", "9007199254740992", "-9007199254740992", "1e400"] {
            #expect(throws: KeyError.self) { try canonical(text) }
        }
        #expect(throws: KeyError.self) {
            try CanonicalJSON.encode(.members([("a", .null), ("a", .null)]))
        }
    }

    @Test func onlyCanonicalBytesAreRead() throws {
        #expect(CanonicalJSON.decode(Array(#"{"a":1,"b":[]}"#.utf8)) != nil)
        for text in [#"{"b":1,"a":1}"#, #"{"a": 1}"#, #"{"a":01}"#, #"{"a":-0}"#, #"["\u0041"]"#] {
            #expect(CanonicalJSON.decode(Array(text.utf8)) == nil, "\(text)")
        }
    }
}
