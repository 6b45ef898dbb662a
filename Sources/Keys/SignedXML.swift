/// An XML document under one enveloped signature over all of it: XML Signature Syntax and
/// Processing 1.1, in the one shape that reference manifests have.
///
/// Canonical XML 1.1, SHA-384, ECDSA over P-384 with SHA-384 (RFC 6931 section 2.3.6), exactly one
/// Reference with the empty URI. What `root` holds is what was signed: there is no reference to
/// follow, so no other element can take the place of the signed one.
public struct SignedXML: Sendable {
    /// The outermost element, without the signature.
    public let root: XMLElement
    /// The certificates beside the signature; the key of the first one signed. Nobody has vouched
    /// for them yet.
    public let certificates: [Certificate]

    private static let namespace = "http://www.w3.org/2000/09/xmldsig#"
    private static let canonical = "http://www.w3.org/2006/12/xml-c14n11"
    private static let enveloped = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
    private static let digest = "http://www.w3.org/2001/04/xmldsig-more#sha384"
    private static let algorithm = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
    /// Signer, two issuers and the root are four; as many again.
    private static let maxCertificates = 8

    /// Reads `bytes`. Errors: `malformed`, or `signature` when digest or signature do not hold.
    public init(_ bytes: [UInt8]) throws(KeyError) {
        let document = try XMLDocument(bytes)
        let all = document.root.children
        guard let signature = all.last, SignedXML.isOne(signature, "Signature") else {
            throw SignedXML.malformed("a Signature at the end of the outermost element")
        }
        let rest = Array(all.dropLast())
        guard !rest.contains(where: SignedXML.holdsSignature) else {
            throw SignedXML.malformed("one Signature")
        }
        let parts = try SignedXML.parts(signature, ["SignedInfo", "SignatureValue", "KeyInfo"])
        let wanted = try SignedXML.digest(in: parts[0])
        certificates = try SignedXML.certificates(parts[2])
        let place = [all.count - 1]
        let found = Digest.sha384(try document.canonical(without: place))
        guard ConstantTime.equal(found, wanted) else {
            throw KeyError(.signature, "XML signature: the document was changed after signing")
        }
        let value = try SignedXML.base64(parts[1])
        let signed = try document.canonical(only: place + [0])
        let key = certificates[0].publicKey
        guard key.algorithm == .p384, key.verifies(raw: value, over: signed, digest: .sha384) else {
            throw KeyError(.signature, "XML signature: not by the first certificate")
        }
        root = XMLElement(
            name: document.root.name,
            namespace: document.root.namespace,
            attributes: document.root.attributes,
            children: rest,
            text: document.root.text
        )
    }

    // SignedInfo with the only choices that are taken; gives the digest that it names.
    private static func digest(in info: XMLElement) throws(KeyError) -> [UInt8] {
        let names = ["CanonicalizationMethod", "SignatureMethod", "Reference"]
        let parts = try parts(info, names)
        try need(parts[0], canonical)
        try need(parts[1], algorithm)
        let reference = parts[2]
        guard reference.attributes.count == 1, reference.attribute("URI") == "" else {
            throw malformed("a Reference to the whole document")
        }
        let inner = try self.parts(reference, ["Transforms", "DigestMethod", "DigestValue"])
        let transforms = try self.parts(inner[0], ["Transform", "Transform"])
        try need(transforms[0], enveloped)
        try need(transforms[1], canonical)
        try need(inner[1], digest)
        return try base64(inner[2])
    }

    private static func certificates(_ info: XMLElement) throws(KeyError) -> [Certificate] {
        let data = try parts(info, ["X509Data"])[0]
        guard (1...maxCertificates).contains(data.children.count) else {
            throw malformed("1 to \(maxCertificates) certificates")
        }
        var certificates: [Certificate] = []
        for item in data.children {
            guard isOne(item, "X509Certificate") else { throw malformed("X509Certificate") }
            certificates.append(try Certificate(der: try base64(item)))
        }
        return certificates
    }

    // The child elements, which are exactly these in this order.
    private static func parts(
        _ element: XMLElement,
        _ names: [String]
    ) throws(KeyError) -> [XMLElement] {
        let found = element.children
        let fits = found.count == names.count && zip(found, names).allSatisfy { isOne($0, $1) }
        guard fits else { throw malformed(names.joined(separator: ", ")) }
        return found
    }

    private static func need(_ method: XMLElement, _ algorithm: String) throws(KeyError) {
        guard method.children.isEmpty, method.attributes.count == 1,
            method.attribute("Algorithm") == algorithm
        else { throw malformed("\(method.name) \(algorithm)") }
    }

    private static func base64(_ element: XMLElement) throws(KeyError) -> [UInt8] {
        let blanks: Set<UInt8> = [0x20, 0x09, 0x0A, 0x0D]
        let characters = element.text.utf8.filter { !blanks.contains($0) }
        guard element.children.isEmpty, let bytes = Base64.decode(characters), !bytes.isEmpty else {
            throw malformed("base64 in \(element.name)")
        }
        return bytes
    }

    private static func isOne(_ element: XMLElement, _ name: String) -> Bool {
        element.name == name && element.namespace == namespace
    }

    private static func holdsSignature(_ element: XMLElement) -> Bool {
        element.namespace == namespace || element.children.contains(where: holdsSignature)
    }

    private static func malformed(_ wanted: String) -> KeyError {
        KeyError(.malformed, "XML signature: expected \(wanted)")
    }
}
