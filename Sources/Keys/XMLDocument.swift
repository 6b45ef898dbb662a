internal import CLibXML2

/// A small XML document (XML 1.0, Namespaces in XML 1.0) read into values, with what is needed to
/// canonicalise it.
///
/// Refused: every `<!` and so every DTD, entity, comment and CDATA section, processing
/// instructions, other encodings than UTF-8, and more of anything than the limits below. One text
/// thus has one meaning, and costs little to find out.
@safe final class XMLDocument {
    /// A reference manifest has 25 KiB; five times that.
    static let maxSize = 128 * 1024
    /// A manifest has 64 measurements in 90 elements.
    static let maxElements = 1024
    /// Manifest, Signature, SignedInfo, Reference, Transforms, Transform; two more.
    static let maxDepth = 8
    /// A measurement has 6 attributes and up to 4 values; canonicalising sorts them.
    static let maxAttributes = 64
    /// A manifest declares 6 namespaces; canonicalising looks each up for each element.
    static let maxNamespaces = 32

    /// The outermost element.
    let root: XMLElement

    private let document: UnsafeMutablePointer<xmlDoc>
    private let top: UnsafeMutablePointer<xmlNode>

    // Once per process and before any thread parses, as libxml2 asks.
    private static let isReady: Bool = {
        xmlInitParser()
        return true
    }()

    init(_ bytes: [UInt8]) throws(KeyError) {
        try XMLDocument.check(bytes)
        guard XMLDocument.isReady,
            let document = unsafe ratel_xml_read(bytes, Int32(bytes.count))
        else { throw KeyError(.malformed, "XML: not well-formed") }
        guard unsafe document.pointee.intSubset == nil,
            let top = unsafe xmlDocGetRootElement(document)
        else {
            unsafe xmlFreeDoc(document)
            throw KeyError(.malformed, "XML: no element, or a DTD")
        }
        var counts = Counts()
        do throws(KeyError) {
            root = try unsafe XMLDocument.element(top, depth: 0, &counts)
        } catch {
            unsafe xmlFreeDoc(document)
            throw error
        }
        unsafe self.document = document
        unsafe self.top = top
    }

    deinit { unsafe xmlFreeDoc(document) }

    /// Canonical XML 1.1 without comments: of the element at `only` with all in it, or of the whole
    /// document; less the element at `without`. A path counts child elements from the root.
    func canonical(only: [Int]? = nil, without: [Int]? = nil) throws(KeyError) -> [UInt8] {
        let failed = KeyError(.malformed, "XML: cannot be canonicalised")
        let chosen = try unsafe only.map { path throws(KeyError) in try unsafe node(path) }
        let left = try unsafe without.map { path throws(KeyError) in try unsafe node(path) }
        guard let output = unsafe ratel_xml_canonicalise(document, chosen, left) else {
            throw failed
        }
        defer { unsafe xmlOutputBufferClose(output) }
        let count = unsafe xmlOutputBufferGetSize(output)
        guard count > 0, let start = unsafe xmlOutputBufferGetContent(output) else { throw failed }
        return unsafe Array(UnsafeBufferPointer(start: start, count: count))
    }

    @unsafe private func node(_ path: [Int]) throws(KeyError) -> UnsafeMutablePointer<xmlNode> {
        var found = unsafe top
        for step in path {
            var child = unsafe found.pointee.children
            var rest = step
            while let candidate = unsafe child {
                if unsafe candidate.pointee.type == XML_ELEMENT_NODE {
                    if rest == 0 { break }
                    rest -= 1
                }
                unsafe child = unsafe candidate.pointee.next
            }
            guard let next = unsafe child else { throw KeyError(.malformed, "XML: no such place") }
            unsafe found = unsafe next
        }
        return unsafe found
    }

    // What the parser might read in more than one way is refused before it sees it.
    private static func check(_ bytes: [UInt8]) throws(KeyError) {
        guard bytes.count <= maxSize else { throw KeyError(.malformed, "XML: too long") }
        guard let text = String(validating: bytes, as: UTF8.self), text.utf8.first == 0x3C else {
            throw KeyError(.malformed, "XML: not UTF-8 that begins with an element")
        }
        for index in bytes.indices.dropLast() where bytes[index] == UInt8(ascii: "<") {
            let next = bytes[index + 1]
            let declares = index == 0 && bytes.starts(with: Array("<?xml ".utf8))
            guard next != UInt8(ascii: "!"), next != UInt8(ascii: "?") || declares else {
                throw KeyError(.malformed, "XML: a DTD, comment, CDATA or instruction")
            }
        }
    }

    private struct Counts {
        var elements = 0
        var namespaces = 0
    }

    @unsafe private static func element(
        _ node: UnsafeMutablePointer<xmlNode>,
        depth: Int,
        _ counts: inout Counts
    ) throws(KeyError) -> XMLElement {
        counts.elements += 1
        guard depth < maxDepth, counts.elements <= maxElements else {
            throw KeyError(.malformed, "XML: too many elements, or too deep")
        }
        var declared = unsafe node.pointee.nsDef
        while let namespace = unsafe declared {
            counts.namespaces += 1
            unsafe declared = unsafe namespace.pointee.next
        }
        guard counts.namespaces <= maxNamespaces else {
            throw KeyError(.malformed, "XML: too many namespaces")
        }
        var children: [XMLElement] = []
        var text = ""
        var child = unsafe node.pointee.children
        while let item = unsafe child {
            switch unsafe item.pointee.type {
            case XML_ELEMENT_NODE:
                children.append(try unsafe element(item, depth: depth + 1, &counts))
            case XML_TEXT_NODE:
                text += unsafe string(item.pointee.content)
            default:
                throw KeyError(.malformed, "XML: neither element nor text")
            }
            unsafe child = unsafe item.pointee.next
        }
        return unsafe XMLElement(
            name: string(node.pointee.name),
            namespace: name(node.pointee.ns),
            attributes: try attributes(node),
            children: children,
            text: text
        )
    }

    @unsafe private static func attributes(
        _ node: UnsafeMutablePointer<xmlNode>
    ) throws(KeyError) -> [XMLElement.Attribute] {
        var attributes: [XMLElement.Attribute] = []
        var next = unsafe node.pointee.properties
        while let attribute = unsafe next {
            guard attributes.count < maxAttributes else {
                throw KeyError(.malformed, "XML: too many attributes")
            }
            var value = ""
            if let content = unsafe attribute.pointee.children {
                guard let joined = unsafe xmlNodeListGetString(node.pointee.doc, content, 1) else {
                    throw KeyError(.library, "XML: unreadable attribute")
                }
                value = unsafe string(joined)
                unsafe ratel_xml_release(joined)
            }
            attributes.append(
                unsafe XMLElement.Attribute(
                    name: string(attribute.pointee.name),
                    namespace: name(attribute.pointee.ns),
                    value: value
                )
            )
            unsafe next = unsafe attribute.pointee.next
        }
        return attributes
    }

    @unsafe private static func name(_ namespace: UnsafeMutablePointer<xmlNs>?) -> String {
        unsafe namespace.map { unsafe string($0.pointee.href) } ?? ""
    }

    // The parser has checked that it is UTF-8.
    @unsafe private static func string(_ text: UnsafePointer<xmlChar>?) -> String {
        guard let text = unsafe text else { return "" }
        return unsafe String(decodingCString: text, as: UTF8.self)
    }
}
