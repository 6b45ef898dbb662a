import Keys
import RATS
import Testing

@testable import Appraisal

/// Certificates that carry Evidence about their own key, made for a test and read as files.
struct AttestedLeafTests {
    private let key: PrivateKey

    init() throws { key = try PrivateKey.generate(.p256) }

    /// The certificate's extensions, written over `key` unless it is signed by another.
    private func code(
        _ extensions: [(String, [UInt8])], fake: FakeDCAP? = nil, signer: PrivateKey? = nil,
        issuer: String = "node", from: String = "260101000000Z", to: String = "280101000000Z",
        hasCollateral: Bool = true, root: [UInt8]? = nil, trailing: [UInt8] = []
    ) throws -> String {
        var template = FakePKI.Template(subject: "node", issuer: issuer, from: from, to: to)
        template.extensions = extensions
        let der = try FakePKI.certificate(template, of: key, by: signer ?? key)
        var files: [String: [UInt8]] = ["cert.der": der + trailing]
        var anchors = TrustAnchors()
        if let root { try anchors.add(root) }
        if let fake {
            let collateral = try fake.collateral()
            files["tcb_info.json"] = hasCollateral ? collateral.tcbInfo : nil
            files["qe_identity.json"] = collateral.qeIdentity
            files["tcb_signing_chain.pem"] = collateral.tcbSigningChain
            files["pck_crl.der"] = collateral.pckRevocations
            files["root_ca_crl.der"] = collateral.rootRevocations
            try anchors.add(Array(fake.pem(fake.root, fake.rootKey, fake.rootKey).utf8))
        }
        let bundle = try #require(EvidenceBundle(files: files))
        do throws(Refusal) {
            _ = try bundle.authenticate(anchors: anchors, now: FakePKI.now)
            return "authentic"
        } catch {
            return error.code
        }
    }

    private func quote(
        covering value: [UInt8], _ change: (inout FakeDCAP) -> Void = { _ in }
    ) throws -> (FakeDCAP, [UInt8]) {
        var fake = try FakeDCAP()
        let zeros = [UInt8](repeating: 0, count: 64 - value.count)
        fake.layout.body.replaceSubrange(520..<584, with: value + zeros)
        change(&fake)
        return (fake, try fake.quote())
    }

    private let gramine = "1.2.840.113741.1337.6"

    @Test func aCertificateIsItsOwnAndCurrent() throws {
        let (fake, quote) = try quote(covering: Digest.sha256(key.spki))
        let own = [(gramine, quote)]
        let other = try PrivateKey.generate(.p256)
        #expect(try code(own, fake: fake) == "authentic")
        #expect(try code(own, fake: fake, signer: other) == "certificate.signature")
        // Issued by somebody else, it is for that one to answer for.
        #expect(try code(own, fake: fake, signer: other, issuer: "CA") == "authentic")
        #expect(try code(own, fake: fake, to: "270101000000Z") == "certificate.expired")
        #expect(try code(own, fake: fake, to: "270115080000Z") == "authentic")
        #expect(try code(own, fake: fake, from: "270601000000Z") == "certificate.expired")
        #expect(try code(own, fake: fake, from: "270115080000Z") == "authentic")
        #expect(try code([], fake: fake) == "certificate.evidence.none")
        let unread = [("1.3.6.1.5.5.7.1.35", [UInt8]([4, 0]))]
        #expect(try code(unread, fake: fake) == "certificate.malformed")
        #expect(try code(own, fake: fake, trailing: [0]) == "certificate.malformed")
        #expect(
            try code(own, fake: fake, hasCollateral: false) == "collateral.missing"
                || code(own, fake: fake, hasCollateral: false) == "dcap.collateral.missing")
    }

    /// Whether there is something to read, good or bad, and where it is looked for.
    @Test func evidenceIsLookedForWhereItMayBe() throws {
        let digits = String(repeating: "ab", count: 501)
        func names(_ label: String) -> [(String, [UInt8])] {
            [("2.5.29.17", DER.sequence([DER.tagged(0x82, Array("\(label).example".utf8))]))]
        }
        let cases: [([(String, [UInt8])], Bool)] = [
            ([], false), ([("1.2.3.4", [4, 0])], false), (names("node"), false),
            (names(digits + "x"), false), (names(digits), true), ([(gramine, [4, 0])], true),
        ]
        for (index, (extensions, isOne)) in cases.enumerated() {
            var template = FakePKI.Template(subject: "node", issuer: "node")
            template.extensions = extensions
            let der = try FakePKI.certificate(template, of: key, by: key)
            #expect(AttestedLeaf.isOne(try Certificate(der: der)) == isOne, "case \(index)")
        }
        let inside: [Dialect] = [
            .cmw, .ccc, .gramine, .dstackVersioned, .dstack, .lexe, .evervault,
        ]
        #expect(Dialect.inCertificates == inside)
    }

    @Test func aQuoteCoversTheKey() throws {
        func outcome(_ value: [UInt8], _ place: String? = nil) throws -> String {
            let (fake, quote) = try quote(covering: value)
            return try code([(place ?? gramine, quote)], fake: fake)
        }
        let bare = key.publicKey.bare
        #expect(try outcome(Digest.sha256(key.spki)) == "authentic")
        #expect(try outcome(Digest.sha256(bare)) == "authentic")
        #expect(try outcome(Digest.sha256(key.spki), "0.6.9.42.840.113741.1337.6") == "authentic")
        let wrong = "certificate.binding.key"
        #expect(try outcome(Digest.sha256([1])) == wrong)
        #expect(try outcome([]) == wrong)
        #expect(try outcome(Digest.sha256(key.spki) + [1]) == wrong)
        let (fake, debug) = try quote(covering: Digest.sha256(key.spki)) {
            $0.layout.body[120] = 1
        }
        #expect(try code([(gramine, debug)], fake: fake) == "dcap.tdx.debug")
        #expect(try code([(gramine, debug)], fake: fake, hasCollateral: false) == "dcap.tdx.debug")
        let (late, good) = try quote(covering: Digest.sha256(key.spki)) {
            $0.pck.to = "270101000000Z"
        }
        #expect(try code([(gramine, good)], fake: late, hasCollateral: false) == "dcap.pck.chain")
    }

    @Test func dstackAndLexeCoverItInTheirWays() throws {
        let covered = Digest.sha512(Array("ratls-cert:".utf8) + key.spki)
        let (fake, quote) = try quote(covering: covered)
        let dstack = "1.3.6.1.4.1.62397.1.1"
        #expect(try code([(dstack, DER.octetString(quote))], fake: fake) == "authentic")
        #expect(
            try code([(dstack, DER.octetString(quote) + [5, 0])], fake: fake)
                == "certificate.malformed")
        #expect(try code([(dstack, [5, 0])], fake: fake) == "certificate.malformed")
        let (other, strange) = try self.quote(covering: Digest.sha512(key.spki))
        #expect(
            try code([(dstack, DER.octetString(strange))], fake: other)
                == "certificate.binding.key")
        // Lexe's certificates have Ed25519 keys, whose bytes are what is covered.
        let lexe = DER.sequence([DER.octetString(quote), DER.octetString([1])])
        #expect(try code([("1.2.840.113741.1337.7", lexe)], fake: fake) == "certificate.malformed")
        #expect(
            try code([("1.2.840.113741.1337.7", [4, 0])], fake: fake) == "certificate.malformed")
    }

    private func claims(
        _ digest: [UInt8]? = nil, number: UInt64 = 1, more: [CBORValue] = []
    ) -> [UInt8] {
        let hash = CBORValue.array(
            [.unsigned(number), .bytes(digest ?? Digest.sha256(key.spki))] + more)
        return CBORValue.named([("pubkey-hash", .bytes(hash.encoded()))]).encoded()
    }

    private func ccc(
        _ claims: [UInt8], sent: [UInt8]? = nil, tag: UInt64 = 60_000, more: [CBORValue] = []
    ) throws -> String {
        let (fake, quote) = try quote(covering: Digest.sha256(claims))
        let body = CBORValue.tagged(
            tag, .array([.bytes(quote), .bytes(sent ?? claims)] + more))
        return try code([("2.23.133.5.4.9", body.encoded())], fake: fake)
    }

    @Test func interoperableCertificatesCoverClaims() throws {
        let malformed = "certificate.malformed"
        #expect(try ccc(claims()) == "authentic")
        #expect(try ccc(claims(), tag: 60_002) == "authentic")
        #expect(try ccc(claims(Digest.sha384(key.spki), number: 7)) == "authentic")
        #expect(try ccc(claims(Digest.sha512(key.spki), number: 8)) == "authentic")
        #expect(try ccc(claims(), tag: 60_001) == malformed)
        #expect(try ccc(claims(), more: [.null]) == malformed)
        #expect(try ccc(claims(more: [.null])) == malformed)
        #expect(try ccc(claims(number: 2)) == malformed)
        #expect(try ccc([0xA0]) == malformed)
        #expect(try ccc(claims(), sent: claims(Digest.sha256([1]))) == "certificate.binding.claims")
        #expect(try ccc(claims(Digest.sha256([1]))) == "certificate.binding.key")
    }

    /// A Nitro document as the first label of a name, in hexadecimal.
    @Test func documentsStandInNames() throws {
        func outcome(
            tag: UInt8 = 0x82, root trusted: Bool = true,
            _ change: (inout FakeNitro) -> Void = { _ in }
        ) throws -> String {
            var nitro = try FakeNitro()
            nitro.set("user_data", .bytes(key.spki))
            change(&nitro)
            let root = try nitro.rootCertificate()
            let name = Hex.encode(try nitro.evidence(root: root)) + ".example.org"
            let names = DER.sequence([
                DER.tagged(0x82, Array("example.org".utf8)), DER.tagged(tag, Array(name.utf8)),
            ])
            return try code([("2.5.29.17", names)], root: trusted ? root : nil)
        }
        #expect(try outcome() == "authentic")
        // Names of a thousand bytes and less are names.
        for label in ["abcd", String(repeating: "ab", count: 494)] {
            let names = DER.sequence([DER.tagged(0x82, Array((label + ".example.org").utf8))])
            #expect(try code([("2.5.29.17", names)]) == "certificate.evidence.none")
        }
        #expect(try outcome(root: false) == "nitro.root.unknown")
        #expect(try outcome(tag: 0x86) == "certificate.evidence.none")
        #expect(
            try outcome { $0.set("user_data", .bytes([1])) } == "certificate.binding.key")
        #expect(try outcome { $0.set("user_data", nil) } == "certificate.binding.key")
        #expect(try outcome { $0.tampers = true } == "nitro.signature.invalid")
    }

    @Test func signaturesComeBeforeThePolicy() throws {
        let other = try PrivateKey.generate(.p256)
        let (_, quote) = try quote(covering: Digest.sha256(key.spki)) { $0.quoteKey = other }
        var template = FakePKI.Template(subject: "node", issuer: "node")
        template.extensions = [(gramine, quote)]
        let der = try FakePKI.certificate(template, of: key, by: key)
        let bundle = try #require(EvidenceBundle(files: ["cert.der": der]))
        let refusal = #expect(throws: Refusal.self) {
            try bundle.appraise(
                AppraisalPolicy(mode: .enforce, peers: .appraised([]), digest: []),
                covering: nil, now: FakePKI.now)
        }
        #expect(refusal?.code == "dcap.quote.signature")
    }

    @Test func theStaticTierIsAppraisedToo() throws {
        let (fake, quote) = try quote(covering: Digest.sha256(key.spki))
        var template = FakePKI.Template(subject: "node", issuer: "node")
        template.extensions = [(gramine, quote)]
        let der = try FakePKI.certificate(template, of: key, by: key)
        let collateral = try fake.collateral()
        let bundle = try #require(
            EvidenceBundle(files: [
                "cert.der": der, "tcb_info.json": collateral.tcbInfo,
                "qe_identity.json": collateral.qeIdentity,
                "tcb_signing_chain.pem": collateral.tcbSigningChain,
                "pck_crl.der": collateral.pckRevocations,
                "root_ca_crl.der": collateral.rootRevocations,
            ]))
        var anchors = TrustAnchors()
        try anchors.add(Array(fake.pem(fake.root, fake.rootKey, fake.rootKey).utf8))
        func code(_ tier: PeerPolicy.Tier, mrTD: ReferenceValue = .any) -> String {
            let policy = TDXPolicy(
                mrTD: mrTD, rtmr: [.any, .any, .any, .any], mrConfigID: .any, mrOwner: .any,
                mrOwnerConfig: .any, allowedAttributes: 0,
                tcb: TCBPolicy(accept: [.upToDate], tolerate: [], minimumEvaluation: 0),
                platforms: .any)
            let peer = PeerPolicy(
                name: "node", tier: tier, maxAge: 300, require: [.tdx: 1], tpm: nil, tdx: policy,
                simulated: false, configuration: [])
            do throws(Refusal) {
                _ = try bundle.appraise(
                    AppraisalPolicy(mode: .enforce, peers: .appraised([peer]), digest: []),
                    anchors: anchors, covering: nil, now: FakePKI.now)
                return "admitted"
            } catch {
                return error.code
            }
        }
        #expect(code(.static) == "admitted")
        #expect(code(.session) == "policy.tier.mismatch")
        #expect(code(.static, mrTD: .oneOf([])) == "dcap.tdx.mrtd")
    }
}
