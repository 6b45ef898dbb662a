import Testing

@testable import Keys

/// Paths under a PKI made for the test: what tolerance, anchors, lists and answers amount to.
struct CertificateChainTests {
    private let rootKey, middleKey, leafKey: PrivateKey
    private var root = FakePKI.Template(subject: "root", issuer: "root", isAuthority: true)
    private var middle = FakePKI.Template(
        subject: "middle", issuer: "root", serial: 2, isAuthority: true)
    private var leaf = FakePKI.Template(subject: "leaf", issuer: "middle", serial: 3)

    init() throws {
        rootKey = try PrivateKey.generate(.p384)
        middleKey = try PrivateKey.generate(.p384)
        leafKey = try PrivateKey.generate(.p384)
    }

    private func made(
        _ template: FakePKI.Template, _ key: PrivateKey, _ signer: PrivateKey
    ) throws -> Certificate {
        try Certificate(der: FakePKI.certificate(template, of: key, by: signer))
    }

    private func reason(
        leaf: FakePKI.Template? = nil, middle: FakePKI.Template? = nil, anchor: Certificate? = nil,
        tolerates: Bool = false, lists: [[UInt8]] = [], now: Int64 = FakePKI.now,
        leavesOutMiddle: Bool = false
    ) throws -> KeyError.Reason? {
        var options = CertificateChain.Options()
        options.toleratesUnknownCriticalInLeaf = tolerates
        options.revocationLists = lists
        let end = try made(leaf ?? self.leaf, leafKey, middleKey)
        let between = try made(middle ?? self.middle, middleKey, rootKey)
        let top = try anchor ?? made(root, rootKey, rootKey)
        do throws(KeyError) {
            try CertificateChain.validate(
                end, intermediates: leavesOutMiddle ? [] : [between], anchors: [top], now: now,
                options: options)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test func toleranceIsForTheLeafAndOneExtension() throws {
        #expect(try reason() == nil)
        var strange = leaf
        strange.criticalExtensions = [("1.2.3.4", [5, 0])]
        #expect(try reason(leaf: strange) == .chain)
        #expect(try reason(leaf: strange, tolerates: true) == nil)
        #expect(try reason(leaf: strange, tolerates: true, leavesOutMiddle: true) == .chain)
        strange.to = "270101000000Z"
        #expect(try reason(leaf: strange, tolerates: true) == .chain)
        var between = middle
        between.criticalExtensions = [("1.2.3.4", [5, 0])]
        #expect(try reason(middle: between, tolerates: true) == .chain)
    }

    @Test func anAnchorIsPinnedOrSignedItself() throws {
        #expect(try reason(anchor: made(middle, middleKey, rootKey), leavesOutMiddle: true) == nil)
        // The right name and key, under a signature of somebody else's.
        #expect(try reason(anchor: made(root, rootKey, leafKey)) == .chain)
        #expect(try reason(anchor: made(root, leafKey, leafKey)) == .chain)
        let none = #expect(throws: KeyError.self) {
            try CertificateChain.validate(
                made(leaf, leafKey, middleKey), anchors: [], now: FakePKI.now)
        }
        #expect(none?.description == "certificate: no anchor to trust")
    }

    @Test func everyIssuerHasItsListAndNobodyIsOnIt() throws {
        func list(_ issuer: String, _ serials: [UInt8], _ key: PrivateKey) throws -> [UInt8] {
            try FakePKI.revocationList(issuer: issuer, serials: serials, by: key)
        }
        let good = [try list("root", [9], rootKey), try list("middle", [9], middleKey)]
        #expect(try reason(lists: good) == nil)
        #expect(try reason(lists: [good[0]]) == .chain)
        #expect(try reason(lists: [good[1]]) == .chain)
        #expect(try reason(lists: [good[0], list("middle", [3], middleKey)]) == .revoked)
        #expect(try reason(lists: [list("root", [2], rootKey), good[1]]) == .revoked)
        #expect(try reason(lists: [good[0], list("middle", [], rootKey)]) == .chain)
        #expect(try reason(lists: [[0x30, 0]]) == .malformed)
        let read = try RevocationList(der: good[1])
        #expect(read.isSigned(by: try made(middle, middleKey, rootKey)))
        #expect(!read.isSigned(by: try made(middle, leafKey, rootKey)))
        var renamed = middle
        renamed.subject = "other"
        #expect(!read.isSigned(by: try made(renamed, middleKey, rootKey)))
    }

    @Test func usagesAreReadInOneForm() throws {
        let wanted = DER.objectIdentifier("2.23.133.8.1")
        let other = DER.objectIdentifier("1.3.6.1.5.5.7.3.1")
        func names(_ content: [UInt8]?) throws -> Bool {
            var template = leaf
            if let content { template.extensions = [("2.5.29.37", content)] }
            return try made(template, leafKey, middleKey).hasExtendedKeyUsage("2.23.133.8.1")
        }
        #expect(try names(DER.sequence([wanted])))
        #expect(try names(DER.sequence([other, wanted])))
        #expect(try !names(nil))
        #expect(try !names(DER.sequence([other])))
        for content: [UInt8] in [
            [], [0x30], [0x31] + DER.sequence([wanted]).dropFirst(), DER.sequence([wanted]) + [0],
            [0x30, 0x81, UInt8(wanted.count)] + wanted, [0x30, UInt8(wanted.count) + 1] + wanted,
            DER.sequence([[4, 1, 1], wanted]), DER.sequence([[6, 9, 1]]),
            [0x30, 0x80] + wanted + [UInt8](repeating: 0, count: 0x80 - wanted.count),
            DER.sequence([wanted.dropLast()]),
        ] {
            #expect(try !names(content), "\(content.prefix(4))")
        }
    }

    @Test func whatFillsAnIndexUpIsZerosOrOnes() throws {
        let der = try made(leaf, leafKey, middleKey).der
        func isRead(_ bytes: [UInt8]) -> Bool { (try? Certificate(padded: bytes)) != nil }
        #expect(isRead(der))
        #expect(isRead(der + [0, 0, 0xFF]))
        #expect(!isRead(der + [1]))
        #expect(!isRead(der.dropLast()))
        #expect(!isRead([]))
        #expect(!isRead([0x30, 0x82, 0, 1]))
        #expect(!isRead([0x31] + der.dropFirst()))
        #expect(!isRead([0x30, 0x81] + der.dropFirst(2)))
        #expect(!isRead([0x30, 0x82, 0xFF, 0xFF] + der.dropFirst(4)))
    }

    @Test func certificatesHaveOneEncoding() throws {
        let der = try made(leaf, leafKey, middleKey).der
        #expect(der[1] == 0x82)
        // The same certificate with an octet of length more than it needs.
        let long = [0x30, 0x83, 0] + der.dropFirst(2)
        #expect(throws: KeyError.self) { try Certificate(der: long) }
        #expect(throws: KeyError.self) {
            try Certificate(der: [0x30, 0x80] + der.dropFirst(4) + [0, 0])
        }
    }

    @Test func anIssuerMayHaveNoCommonName() throws {
        #expect(try made(leaf, leafKey, middleKey).issuerCommonName == "middle")
        var nameless = leaf
        nameless.issuer = ""
        #expect(try made(nameless, leafKey, middleKey).issuerCommonName == nil)
    }

    @Test func certificatesHaveALargestSize() throws {
        func isRead(_ size: Int) throws -> Bool {
            var template = leaf
            var room = size - 1024
            // Signatures in DER differ by some bytes from one to the next.
            for _ in 0..<500 {
                template.extensions = [("1.2.3.4", [UInt8](repeating: 1, count: room))]
                let der = try FakePKI.certificate(template, of: leafKey, by: middleKey)
                if der.count == size { return (try? Certificate(der: der)) != nil }
                room += size - der.count
            }
            throw KeyError(.malformed, "none of that size")
        }
        #expect(try isRead(256 * 1024))
        #expect(try !isRead(256 * 1024 + 1))
    }

    @Test func answersHoldForTheirTime() throws {
        let issuer = try made(middle, middleKey, rootKey)
        let subject = try made(leaf, leafKey, middleKey)
        let anchor = try made(root, rootKey, rootKey)
        func reason(
            from: String = "20270101000000Z", to: String? = "20270201000000Z",
            change: (inout FakeStatusAnswer) -> Void = { _ in }, padding: Int = 0
        ) throws -> KeyError.Reason? {
            var answer = FakeStatusAnswer(serial: 3, issuer: "middle", issuerKey: middleKey)
            answer.from = from
            answer.to = to
            change(&answer)
            let bytes = try answer.encoded() + [UInt8](repeating: 0, count: padding)
            do throws(KeyError) {
                let statement = try StatusAnswer.statement(
                    of: subject, issuer: issuer, in: bytes, intermediates: [issuer],
                    anchor: anchor, now: FakePKI.now)
                #expect(statement?.status == .good)
                return nil
            } catch {
                return error.reason
            }
        }
        #expect(try reason() == nil)
        // Clocks may differ by five minutes; the end is the end.
        #expect(try reason(from: "20270115080500Z") == nil)
        #expect(try reason(from: "20270115080501Z") == .chain)
        #expect(try reason(to: "20270115080000Z") == nil)
        #expect(try reason(to: "20270115075959Z") == .chain)
        #expect(try reason(to: nil) == .chain)
        #expect(try reason(change: { $0.outcome = 1 }) == .malformed)
        #expect(try reason(change: { $0.signer = rootKey }) == .signature)
        #expect(try reason(padding: 1) == .malformed)
        for name in ["1.2.840.10045.4.1", "1.2.3.4"] {
            let algorithm = DER.sequence([DER.objectIdentifier(name)])
            #expect(try reason(change: { $0.algorithm = algorithm }) == .unsupported)
        }
        for (size, words) in [
            (StatusAnswer.maxSize, "not strictly one DER answer"),
            (StatusAnswer.maxSize + 1, "too long"),
        ] {
            let error = #expect(throws: KeyError.self) {
                try StatusAnswer.statement(
                    of: subject, issuer: issuer, in: [UInt8](repeating: 0, count: size),
                    intermediates: [], anchor: anchor, now: FakePKI.now)
            }
            #expect(error?.description.hasSuffix(words) == true)
        }
        let question = try StatusAnswer.question(about: subject, issuer: issuer)
        #expect(question.first == 0x30)
    }

    @Test func keysAreOfTheirSizes() throws {
        let modulus = [0xC0] + [UInt8](repeating: 0x5A, count: 254) + [1]
        #expect(try PublicKey(modulus: modulus, exponent: 65_537).algorithm == .rsa(bits: 2048))
        #expect(throws: KeyError.self) {
            try PublicKey(modulus: [0x7F] + modulus.dropFirst(), exponent: 65_537)
        }
        #expect(throws: KeyError.self) {
            try PublicKey(
                modulus: [1] + [UInt8](repeating: 0x5A, count: 1023) + [1], exponent: 65_537)
        }
        let key = leafKey.publicKey
        let pem = PEM.encode(key.spki, label: "PUBLIC KEY")
        #expect(try PublicKey(pem: pem).spki == key.spki)
        for text in ["", pem + pem, PEM.encode(key.spki, label: "KEY")] {
            #expect(throws: KeyError.self) { try PublicKey(pem: text) }
        }
        // A key signs in the form of its kind, and in no other.
        let rsa = try PublicKey(modulus: modulus, exponent: 65_537)
        #expect(!rsa.verifies(raw: [UInt8](repeating: 1, count: 64), over: [1]))
        #expect(!rsa.verifies(der: [0x30, 0], over: [1]))
        let signature = try leafKey.sign([1], digest: .sha384)
        #expect(key.verifies(der: signature, over: [1], digest: .sha384))
        #expect(!key.verifies(rsa: signature, over: [1], digest: .sha384, padding: .pkcs1))
        #expect(!key.verifies(rsa: signature, over: [1], digest: .sha384, padding: .pss))
        #expect(key.bare.count == 97)
        #expect(throws: KeyError.self) {
            try PublicKey(curve: .p256, x: [UInt8](repeating: 1, count: 33), y: [1])
        }
    }
}
