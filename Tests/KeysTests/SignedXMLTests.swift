import Testing

@testable import Keys

/// What a hostile text could cost, and what has more than one reading; the rest of the checks is
/// with the reference manifests in the tests of `Appraisal`.
struct SignedXMLTests {
    private func words(_ text: String) -> String {
        do throws(KeyError) {
            _ = try XMLDocument(Array(text.utf8))
            return "read"
        } catch {
            return error.description
        }
    }

    private func many(_ count: Int, _ part: (Int) -> String) -> String {
        (0..<count).map(part).joined()
    }

    @Test func costlyTextsAreRefusedBeforeTheyCost() {
        let start = ContinuousClock.now
        let texts = [
            "<a \(many(18_000) { "a\($0)=\"\"" + " " })/>",
            "<a \(many(6_000) { "xmlns:a\($0)=\"b\"" + " " })/>",
            "<a>\(many(32_000) { _ in "<a/>" })</a>",
            "<a>\(many(7_000) { _ in "<a xmlns:b='c'/>" })</a>",
            many(40_000) { _ in "<a>" }, "<a>" + many(25_000) { _ in "&lt;" } + "</b>",
        ]
        for (index, text) in texts.enumerated() {
            #expect(words(text) != "read", "text \(index)")
        }
        // Some tens of milliseconds in all; whatever grows with the square would take seconds.
        #expect(ContinuousClock.now - start < .seconds(2))
    }

    @Test func theLimitsAreTheLimits() {
        let most = "<a \(many(64) { "a\($0)='' " })\(many(32) { "xmlns:n\($0)='u:\($0)' " })/>"
        #expect(words(most) == "read")
        #expect(words("<a \(many(65) { "a\($0)='' " })/>") == "XML: too many attributes")
        #expect(words("<a \(many(33) { "xmlns:n\($0)='u' " })/>") == "XML: too many namespaces")
        #expect(words("<a>" + many(1023) { _ in "<b/>" } + "</a>") == "read")
        let over = "XML: too many elements, or too deep"
        #expect(words("<a>" + many(1024) { _ in "<b/>" } + "</a>") == over)
        #expect(words(many(8) { "<e\($0)>" } + many(8) { "</e\(7 - $0)>" }) == "read")
        #expect(words(many(9) { "<e\($0)>" } + many(9) { "</e\(8 - $0)>" }) == over)
    }

    @Test func oneTextHasOneReading() {
        let ways = [
            "<a><!-- c --></a>", "<a><![CDATA[c]]></a>", "<a><?b c?></a>", "<!DOCTYPE a><a/>",
            "<?xml version=\"1.0\" encoding=\"UTF-16\"?><a>\u{FF}</b>", " <a/>", "\u{FEFF}<a/>",
            "<a/><b/>", "<a>&b;</a>", "<n:a/>", "<a n:b=''/>", "<a b='' b=''/>",
            "<a xmlns:m='u' xmlns:n='u' m:b='' n:b=''/>", "",
        ]
        for way in ways { #expect(words(way) != "read", "\(way)") }
    }

    // Canonical XML 1.1: order of attributes, namespaces in scope, line ends, character references.
    @Test func canonicalTextIsThatOfTheStandard() throws {
        let text =
            "<?xml version=\"1.0\"?>\n<r xmlns:b='u:b' xmlns='u:d' z='1' b:c='2' a='&#9;&lt;'>"
            + "<x/>\r\n<b:y>&gt;&#13;</b:y><s>gone</s></r>\n"
        let document = try XMLDocument(Array(text.utf8))
        let head = "<r xmlns=\"u:d\" xmlns:b=\"u:b\" a=\"&#x9;&lt;\" z=\"1\" b:c=\"2\"><x></x>\n"
        let all = head + "<b:y>&gt;&#xD;</b:y>"
        #expect(try self.text(document.canonical()) == all + "<s>gone</s></r>")
        #expect(try self.text(document.canonical(without: [2])) == all + "</r>")
        let inner = "<b:y xmlns=\"u:d\" xmlns:b=\"u:b\">&gt;&#xD;</b:y>"
        #expect(try self.text(document.canonical(only: [1])) == inner)
        #expect(throws: KeyError.self) { try document.canonical(only: [3]) }
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
