import Keys

/// A reference manifest under a PKI of its own, written in canonical form so that hashing it needs
/// no canonicaliser; to be changed one thing at a time.
struct FakeManifest {
    static let tag = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
    static let tcg =
        "https://trustedcomputinggroup.org/resource/"
        + "tcg-reference-integrity-manifest-rim-information-model/"
    static let hash = "http://www.w3.org/2001/04/xmlenc#sha384"
    static let ds = "http://www.w3.org/2000/09/xmldsig#"

    let maker: FakeNVIDIAMaker
    /// The namespace of the tag itself.
    var space = FakeManifest.tag
    var product = "GH100"
    var version: String
    /// Index, active, values.
    var entries: [(Int, Bool, [[UInt8]])]
    var signer = FakePKI.Template(subject: "manifests", issuer: "RIM CA", serial: 23)
    var signedBy: PrivateKey?
    /// Applied to the text of the document before it is hashed, and after it is signed.
    var before: (String) -> String = { $0 }
    var after: (String) -> String = { $0 }
    /// Applied to the text of SignedInfo before it is signed.
    var info: (String) -> String = { $0 }
    var certificates: ([[UInt8]]) -> [[UInt8]] = { $0 }

    var resources: String {
        entries.map { index, active, values in
            let hashes = values.enumerated().map { #" ns2:Hash\#($0)="\#(Hex.encode($1))""# }
            return #"<Resource active="\#(active ? "True" : "False")" "#
                + #"alternatives="\#(values.count)" index="\#(index)" name="m\#(index)" size="48" "#
                + #"type="Measurement"\#(hashes.joined())></Resource>"#
        }.joined()
    }

    func bytes() throws -> [UInt8] {
        let spaces =
            #"xmlns="\#(space)" "# + #"xmlns:ns1="\#(FakeManifest.tcg)" "#
            + #"xmlns:ns2="\#(FakeManifest.hash)""#
        let all = #"xmlns="\#(space)" xmlns:ds="\#(FakeManifest.ds)" "#
        let rest = #"xmlns:ns1="\#(FakeManifest.tcg)" xmlns:ns2="\#(FakeManifest.hash)""#
        let end = "</SoftwareIdentity>"
        let document = before(
            #"<SoftwareIdentity \#(spaces) name="x"><Meta PayloadType="direct" "#
                + #"colloquialVersion="\#(version)" product="\#(product)" "#
                + #"ns1:BindingSpec="RIMIM"></Meta><Payload>\#(resources)</Payload>"# + end)
        let digest = Base64.encode(Digest.sha384(Array(document.utf8)))
        let inner = info(signedInfo(digest))
        let canonical = "<ds:SignedInfo " + all + rest + ">" + inner + "</ds:SignedInfo>"
        let key = signedBy ?? maker.manifestKey
        let signature = try key.signRaw(Array(canonical.utf8), digest: .sha384)
        let chain = try certificates(maker.manifestChain(signer))
            .map { "<ds:X509Certificate>\(Base64.encode($0))</ds:X509Certificate>" }
        let part =
            #"<ds:Signature xmlns:ds="\#(FakeManifest.ds)"><ds:SignedInfo>"# + inner
            + "</ds:SignedInfo><ds:SignatureValue>\(Base64.encode(signature))"
            + "</ds:SignatureValue><ds:KeyInfo><ds:X509Data>\(chain.joined())</ds:X509Data>"
            + "</ds:KeyInfo></ds:Signature>"
        return Array(after(document.dropLast(end.count) + part + end).utf8)
    }

    private func signedInfo(_ digest: String) -> String {
        func method(_ name: String, _ algorithm: String) -> String {
            #"<ds:\#(name) Algorithm="\#(algorithm)"></ds:\#(name)>"#
        }
        let canonical = "http://www.w3.org/2006/12/xml-c14n11"
        let more = "http://www.w3.org/2001/04/xmldsig-more#"
        return method("CanonicalizationMethod", canonical)
            + method("SignatureMethod", more + "ecdsa-sha384")
            + #"<ds:Reference URI=""><ds:Transforms>"#
            + method("Transform", FakeManifest.ds + "enveloped-signature")
            + method("Transform", canonical) + "</ds:Transforms>"
            + method("DigestMethod", more + "sha384")
            + "<ds:DigestValue>\(digest)</ds:DigestValue></ds:Reference>"
    }
}
