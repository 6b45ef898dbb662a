import Testing

@testable import Keys

/// The limits of documents, from both sides.
struct XMLLimitTests {
    private func isRead(_ text: String) -> Bool { (try? XMLDocument(Array(text.utf8))) != nil }

    @Test func documentsHaveTheirSizes() {
        let empty = "<a></a>"
        let room = XMLDocument.maxSize - empty.utf8.count
        #expect(isRead("<a>" + String(repeating: "x", count: room) + "</a>"))
        #expect(!isRead("<a>" + String(repeating: "x", count: room + 1) + "</a>"))
        let most = XMLDocument.maxElements - 1
        #expect(isRead("<a>" + String(repeating: "<b/>", count: most) + "</a>"))
        #expect(!isRead("<a>" + String(repeating: "<b/>", count: most + 1) + "</a>"))
        func nested(_ depth: Int) -> String {
            String(repeating: "<a>", count: depth) + String(repeating: "</a>", count: depth)
        }
        #expect(isRead(nested(XMLDocument.maxDepth)))
        #expect(!isRead(nested(XMLDocument.maxDepth + 1)))
    }

    @Test func elementsHaveTheirNumberOfAttributes() {
        func attributes(_ count: Int) -> String {
            "<a" + (0..<count).map { " b\($0)=\"\"" }.joined() + "/>"
        }
        #expect(isRead(attributes(XMLDocument.maxAttributes)))
        #expect(!isRead(attributes(XMLDocument.maxAttributes + 1)))
        func spaces(_ count: Int) -> String {
            "<a" + (0..<count).map { " xmlns:b\($0)=\"urn:\($0)\"" }.joined() + "/>"
        }
        #expect(isRead(spaces(XMLDocument.maxNamespaces)))
        #expect(!isRead(spaces(XMLDocument.maxNamespaces + 1)))
        // All of the document's together.
        let half = XMLDocument.maxNamespaces / 2 + 1
        #expect(!isRead("<x>" + spaces(half) + spaces(half) + "</x>"))
        let signs = XMLDocument.maxAttributes + XMLDocument.maxNamespaces
        #expect(isRead("<a>" + String(repeating: "=", count: signs) + "</a>"))
        #expect(!isRead("<a>" + String(repeating: "=", count: signs + 1) + "</a>"))
    }

    @Test func whatHasMoreReadingsIsNotRead() throws {
        for text in [
            "", " <a/>", "a", "<a", "<a><b></a></b>", "<a/><b/>", "<!-- --><a/>", "<a><!-- --></a>",
            "<a><![CDATA[x]]></a>", "<a><?b c?></a>", "<?b c?><a/>", "<!DOCTYPE a><a/>",
            "<a b=\"1\" b=\"2\"/>", "<c:a/>", "<a c:b=\"1\"/>", "<a>&b;</a>", "<?xml?><a/>",
            "<a xmlns:x=\"u\" xmlns:y=\"u\" x:b=\"1\" y:b=\"2\"/>",
            "<a><?xml version=\"1.0\"?></a>", "<?xml version=\"1.0\"?><a/><?b c?>",
        ] {
            #expect(!isRead(text), "\(text)")
        }
        for text in [
            "<a/>", "<?xml version=\"1.0\"?><a/>", "<a b=\"1\" c=\"1\"/>",
            "<a xmlns:x=\"u\" b=\"1\" x:b=\"2\"/>", "<a>&lt;&#65;</a>",
        ] {
            #expect(isRead(text), "\(text)")
        }
        #expect((try? XMLDocument([0x3C, 0x61, 0x3E, 0xFF, 0x3C, 0x2F, 0x61, 0x3E])) == nil)
        let document = try XMLDocument(
            Array("<a xmlns:x=\"u\" b=\"1\" x:b=\"2\"><c/><c xmlns=\"v\"/></a>".utf8))
        #expect(document.root.attribute("b") == "1")
        #expect(document.root.attribute("b", namespace: "u") == "2")
        #expect(document.root.attribute("b", namespace: "v") == nil)
        #expect(document.root.attribute("c") == nil)
        #expect(document.root.children("c").count == 1)
        #expect(document.root.children("b").isEmpty)
    }

    @Test func partsAreFoundByTheirPlace() throws {
        let document = try XMLDocument(Array("<a>x<b><c/></b> <d>y</d></a>".utf8))
        func only(_ path: [Int]) throws -> String {
            String(decoding: try document.canonical(only: path), as: UTF8.self)
        }
        #expect(try only([1]) == "<d>y</d>")
        #expect(try only([0, 0]) == "<c></c>")
        for path in [[2], [1, 0], [0, 1], [0, 0, 0]] {
            #expect(throws: KeyError.self) { try document.canonical(only: path) }
        }
        let rest = String(decoding: try document.canonical(without: [0]), as: UTF8.self)
        #expect(rest == "<a>x <d>y</d></a>")
    }
}
