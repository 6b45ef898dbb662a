import Keys
import Testing

struct KeyTests {
    @Test func digestsMeetTheirStandard() {
        let abc = Array("abc".utf8)
        #expect(
            Hex.encode(Digest.sha256(abc))
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        )
        #expect(
            Hex.encode(Digest.sha384(abc)).hasPrefix("cb00753f45a35e8bb5a03d699ac65007272c32ab")
        )
        #expect(Hex.encode(Digest.sha512(abc)).hasPrefix("ddaf35a193617abacc417349ae204131"))
        #expect(Digest.sha512([]).count == 64)
        // RFC 4231, test case 2.
        let mac = Digest.sha256.authenticate(
            Array("what do ya want for nothing?".utf8),
            key: Array("Jefe".utf8)
        )
        #expect(
            Hex.encode(mac) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        )
    }

    @Test(arguments: [PublicKey.Algorithm.p256, .p384])
    func signaturesVerifyAndOnlyTheRightOnes(curve: PublicKey.Algorithm) throws {
        let key = try PrivateKey.generate(curve)
        #expect(key.publicKey.algorithm == curve)
        let message = Array("message".utf8)
        for _ in 0..<20 {
            let raw = try key.signRaw(message)
            #expect(key.publicKey.verifies(raw: raw, over: message))
            #expect(!key.publicKey.verifies(raw: raw, over: message + [0]))
            var bad = raw
            bad[5] ^= 1
            #expect(!key.publicKey.verifies(raw: bad, over: message))
            #expect(!key.publicKey.verifies(raw: raw + [0], over: message))
        }
        let der = try key.sign(message)
        #expect(key.publicKey.verifies(der: der, over: message))
        #expect(!(try PrivateKey.generate(curve).publicKey.verifies(der: der, over: message)))
    }

    @Test func publicKeysAreReadStrictly() throws {
        let spki = try PrivateKey.generate().spki
        #expect(try PublicKey(spki: spki).spki == spki)
        #expect(throws: KeyError.self) { try PublicKey(spki: spki + [0]) }
        #expect(throws: KeyError.self) { try PublicKey(spki: Array(spki.dropLast())) }
        var off = spki
        off[off.count - 1] ^= 1
        #expect(throws: KeyError.self, "not on the curve") { try PublicKey(spki: off) }
        var unused = spki
        unused[25] = 1
        unused[90] &= 0xFE
        #expect(throws: KeyError.self, "unused bits") { try PublicKey(spki: unused) }
        let again = try PublicKey(
            curve: .p256,
            x: Array(spki[27..<59]),
            y: Array(spki[59..<91])
        )
        #expect(again.spki == spki)
    }

    @Test func base64AndPEMAreStrict() throws {
        for length in 0..<70 {
            let bytes = SecureRandom.bytes(length)
            #expect(Base64.decode(Array(Base64.encode(bytes).utf8)) == bytes)
            #expect(Base64.decode(url: Base64.encode(url: bytes)) == bytes)
            let pem = PEM.encode(bytes, label: "X Y")
            #expect(try PEM.decode("text\n" + pem, label: "X Y") == [bytes])
        }
        for bad in ["QQ", "QR==", "Q===", "=QQQ", "QQ==QQ==", "Q Q="] {
            #expect(Base64.decode(Array(bad.utf8)) == nil)
        }
        for bad in ["Q", "QR", "QQ==", "QQQ=", "Q+Q", "Q/Q", "QQQQQ", "Q Q", "QQR"] {
            #expect(Base64.decode(url: bad) == nil)
        }
        #expect(throws: KeyError.self) { try PEM.decode("-----BEGIN X-----\nQQ==", label: "X") }
    }

    @Test func privateKeysAreReadFromPEM() throws {
        // Made for this test, and for nothing else.
        let pem = """
            -----BEGIN PRIVATE KEY-----
            MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgtVEBcEk53HaI4ZO0
            W6mHHgik5GEWd5BrxGN3ht3ucL+hRANCAASAqTjMC5JzBawDANswU/16FKCKUfRB
            uFAZOtHyuuiyz8ivk2IPoWQi3UUzERSIOY3Aollqzp1JFZfpaTxviBY8
            -----END PRIVATE KEY-----
            """
        let key = try PrivateKey(pem: pem)
        #expect(key.publicKey.verifies(raw: try key.signRaw([1]), over: [1]))
        #expect(throws: KeyError.self) { try PrivateKey(pem: "no key") }
    }

    @Test func jsonIsReadStrictly() throws {
        let text = #"{"a":[1,-2.5e3,"x\n\u00e9\ud83d\ude00"],"b":{"c":null,"d":true}}"#
        let value = try #require(JSONParser.parse(Array(text.utf8)))
        #expect(value["a"]?.items?[0].integer == 1)
        #expect(value["a"]?.items?[2].text == "x\né😀")
        #expect(JSONParser.parse(Array(value.serialised().utf8)) == value)
        #expect(JSONParser.parse(Array(value.serialised(pretty: true).utf8)) == value)
        for bad in [
            "", "{", "{\"a\":1,\"a\":2}", "[1,]", "01", "1.", "nul", "\"\u{1}\"", "[1] 2", "'a'",
            "\"\\ud800\"", String(repeating: "[", count: 40),
        ] {
            #expect(JSONParser.parse(Array(bad.utf8)) == nil, "\(bad)")
        }
    }
}
