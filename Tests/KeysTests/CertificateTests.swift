import Keys
import Testing

struct CertificateTests {
    let now: Int64 = 1_800_000_000

    @Test func aLeafCarriesWhatItWasGiven() throws {
        let key = try PrivateKey.generate()
        let leaf = try LeafCertificate.make(
            key: key,
            commonName: "ratel.invalid",
            now: now,
            lifetime: 3600,
            extensions: [.init(identifier: "2.23.133.5.4.9", content: [1, 2, 3])]
        )
        #expect(leaf.spki == key.spki)
        #expect(leaf.subject == "CN=ratel.invalid")
        #expect(leaf.issuer == leaf.subject)
        #expect(leaf.notBefore == now - 300)
        #expect(leaf.notAfter == now + 3600)
        #expect(leaf.serial.count == 16)
        #expect(!leaf.isAuthority)
        #expect(leaf.isSelfSigned)
        #expect(leaf.extension("2.23.133.5.4.9") == [1, 2, 3])
        #expect(leaf.hasExtendedKeyUsage("1.3.6.1.5.5.7.3.2"))
        #expect(!leaf.hasExtendedKeyUsage("2.23.133.8.1"))
        #expect(!leaf.hasExtendedKeyUsage("1.3.6.1.5.5.7.3"))
        #expect(leaf.extension("2.23.133.5.4.8") == nil)
        #expect(try Certificate.read(pem: leaf.pem).map(\.der) == [leaf.der])
    }

    @Test func anExtensionTwiceIsNone() throws {
        let twice = [UInt8](repeating: 7, count: 2).map {
            LeafCertificate.Extension(identifier: "2.23.133.5.4.9", content: [$0])
        }
        let leaf = try LeafCertificate.make(
            key: try PrivateKey.generate(),
            commonName: "a",
            now: now,
            lifetime: 60,
            extensions: twice
        )
        #expect(leaf.extension("2.23.133.5.4.9") == nil)
    }

    @Test func certificatesAreReadStrictly() throws {
        let leaf = try LeafCertificate.make(
            key: try PrivateKey.generate(),
            commonName: "a",
            now: now,
            lifetime: 60
        )
        #expect(throws: KeyError.self) { try Certificate(der: leaf.der + [0]) }
        #expect(throws: KeyError.self) { try Certificate(der: Array(leaf.der.dropLast())) }
        #expect(try Certificate(padded: leaf.der + [0, 0xFF]).der == leaf.der)
        #expect(throws: KeyError.self) { try Certificate(padded: leaf.der + [1]) }
        #expect(throws: KeyError.self) { try Certificate(padded: [0x30]) }
    }

    @Test func chainsEndInTheAnchorsAtTheGivenTime() throws {
        let leaf = try LeafCertificate.make(
            key: try PrivateKey.generate(),
            commonName: "a",
            now: now,
            lifetime: 60
        )
        let other = try LeafCertificate.make(
            key: try PrivateKey.generate(),
            commonName: "a",
            now: now,
            lifetime: 60
        )
        try CertificateChain.validate(leaf, anchors: [leaf], now: now)
        let refused: [([Certificate], Int64)] = [
            ([], now), ([other], now), ([leaf], now + 61), ([leaf], now - 301),
        ]
        for (anchors, time) in refused {
            let error = #expect(throws: KeyError.self) {
                try CertificateChain.validate(leaf, anchors: anchors, now: time)
            }
            #expect(error?.reason == .chain)
        }
    }

    @Test func anUnknownCriticalExtensionIsToleratedOnlyWhereAsked() throws {
        let leaf = try LeafCertificate.make(
            key: try PrivateKey.generate(),
            commonName: "a",
            now: now,
            lifetime: 60,
            extensions: [.init(identifier: "1.2.3.4", isCritical: true, content: [5, 0])]
        )
        #expect(throws: KeyError.self) {
            try CertificateChain.validate(leaf, anchors: [leaf], now: now)
        }
        var options = CertificateChain.Options()
        options.toleratesUnknownCriticalInLeaf = true
        try CertificateChain.validate(leaf, anchors: [leaf], now: now, options: options)
        #expect(throws: KeyError.self) {
            try CertificateChain.validate(leaf, anchors: [leaf], now: now + 61, options: options)
        }
    }

    @Test func revocationListsMustBeThereForTheIssuer() throws {
        let leaf = try LeafCertificate.make(
            key: try PrivateKey.generate(),
            commonName: "a",
            now: now,
            lifetime: 60
        )
        var options = CertificateChain.Options()
        options.revocationLists = [[0x30, 0x00]]
        let error = #expect(throws: KeyError.self) {
            try CertificateChain.validate(leaf, anchors: [leaf], now: now, options: options)
        }
        #expect(error?.reason == .malformed)
    }
}
