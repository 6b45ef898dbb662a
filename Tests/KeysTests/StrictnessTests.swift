import Testing

@testable import Keys

/// Texts and structures with one reading: each rule of the parsers, and each limit from both sides.
struct StrictnessTests {
    private func reason(
        _ bytes: [UInt8], _ rules: CBORDecoder.Rules = .deterministic
    ) -> CBORError.Reason? {
        do throws(CBORError) {
            _ = try CBORDecoder.decode(bytes, rules: rules)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test func itemsOfCBORAreCounted() {
        let most = CBORDecoder.maxItems - 1
        func array(_ count: Int, of items: Int) -> [UInt8] {
            [0x99, UInt8(count >> 8), UInt8(count & 0xFF)] + [UInt8](repeating: 0, count: items)
        }
        #expect(reason(array(most, of: most)) == nil)
        #expect(reason(array(most + 1, of: most + 1)) == .tooManyItems)
        // A count past what is left is found out before anything of it is read.
        #expect(reason(array(40_000, of: 30_000)) == .truncated)
        var map = array(20_000, of: 30_000)
        map[0] = 0xB9
        #expect(reason(map, .anyOrder) == .truncated)
        #expect(reason([0x82, 0, 0]) == nil)
        #expect(reason([0xA1, 0, 0]) == nil)
        #expect(reason([0xA1, 0]) == .truncated)
        let deepest = [UInt8](repeating: 0x81, count: CBORDecoder.maxDepth - 1) + [0]
        #expect(reason(deepest) == nil)
        #expect(reason([0x81] + deepest) == .tooDeep)
    }

    @Test func integersOfCBORAreTheShortest() {
        for bytes: [UInt8] in [
            [0x18, 24], [0x19, 1, 0], [0x1A, 0, 1, 0, 0], [0x1B, 0, 0, 0, 1, 0, 0, 0, 0],
        ] {
            #expect(reason(bytes) == nil)
        }
        for bytes: [UInt8] in [
            [0x18, 23], [0x19, 0, 255], [0x1A, 0, 0, 255, 255],
            [0x1B, 0, 0, 0, 0, 255, 255, 255, 255],
        ] {
            #expect(reason(bytes) == .notShortest)
        }
        // Only arrays and maps may be open, and only under the wider rules.
        #expect(reason([0x9F, 0, 0xFF], .anyOrder) == nil)
        #expect(reason([0xBF, 0, 0, 0xFF], .anyOrder) == nil)
        #expect(reason([0x9F, 0, 0xFF]) == .indefinite)
        #expect(reason([0xBF, 0, 0, 0xFF]) == .indefinite)
        #expect(reason([0x5F, 0x41, 0, 0xFF], .anyOrder) == .indefinite)
        #expect(reason([0x9C], .anyOrder) == .indefinite)
        #expect(reason([0xA2, 0, 0, 0x18, 0, 0], .anyOrder) == .notShortest)
        #expect(reason([0xA2, 0, 0, 0, 0], .anyOrder) == .keyOrder)
        #expect(reason([0xA2, 1, 0, 0, 0], .anyOrder) == nil)
    }

    @Test func fieldsHaveTheirLimits() throws {
        let fields = try CBORFields(
            CBORValue.fields([
                (1, .unsigned(5)), (2, .array([.bytes([1]), .bytes([2])])), (3, .text("x")),
                (4, .bytes([1])),
            ]), allowed: [1, 2, 3, 4, 5])
        #expect(try fields.number(1, limit: 5) == 5)
        #expect(throws: CBORError(.wrongType, offset: 1)) { try fields.number(1, limit: 4) }
        #expect(try fields.array(2, limit: 2).count == 2)
        #expect(throws: CBORError(.wrongType, offset: 2)) { try fields.array(2, limit: 1) }
        #expect(try fields.byteStrings(2, size: 1, limit: 2) == [[1], [2]])
        #expect(throws: CBORError(.wrongType, offset: 2)) {
            try fields.byteStrings(2, size: 2, limit: 2)
        }
        #expect(throws: CBORError(.wrongType, offset: 3)) { try fields.bytes(3) }
        #expect(try fields.optionalBytes(4) == [1])
        #expect(try fields.optionalBytes(5) == nil)
        #expect(throws: CBORError(.wrongType, offset: 3)) { try fields.optionalBytes(3) }
        #expect(throws: CBORError(.wrongType, offset: 0)) {
            try CBORFields(.array([]), allowed: [1])
        }
        // A map written by hand may name a field twice.
        let twice = CBORValue.map([
            CBORValue.Entry(.unsigned(1), .null), CBORValue.Entry(.unsigned(1), .null),
        ])
        #expect(throws: CBORError(.keyOrder, offset: 1)) { try CBORFields(twice, allowed: [1]) }
        let text = CBORValue.map([CBORValue.Entry(.text("1"), .null)])
        #expect(throws: CBORError(.unknownField, offset: -1)) {
            try CBORFields(text, allowed: [1])
        }
    }

    @Test func blocksOfPEMAreWhole() throws {
        func read(_ text: String, limit: Int = .max) -> Int? {
            try? PEM.decode(text, label: "X", limit: limit).count
        }
        let block = PEM.encode([1, 2, 3], label: "X")
        #expect(read("") == 0)
        #expect(read(block + block) == 2)
        #expect(read(block + block, limit: 2) == 2)
        #expect(read(block + block, limit: 1) == nil)
        #expect(read(block.replacing("\n", with: "\r\n")) == 1)
        #expect(read("  -----BEGIN X-----\n\tAQID \n-----END X-----") == 1)
        #expect(read("-----BEGIN X-----\n" + block) == nil)
        #expect(read("-----END X-----\n") == nil)
        #expect(read(block.replacing("AQID", with: "AQI")) == nil)
        #expect(read("-----BEGIN X-----\nAQID\n") == nil)
        // Another label's block is text between.
        #expect(read(PEM.encode([1], label: "Y") + block) == 1)
        #expect(try PEM.decode(PEM.encode([1], label: "X Y"), label: "X Y") == [[1]])
        #expect(throws: KeyError.self) { try Certificate.read(pem: "") }
    }

    @Test func base64HasOneForm() {
        func read(_ text: String) -> [UInt8]? { Base64.decode(Array(text.utf8)) }
        #expect(read("") == [])
        #expect(read("AQ==") == [1])
        #expect(read("AQI=") == [1, 2])
        for text in [
            "=", "==", "===", "====", "AQ=", "AQ=A", "A===", "AR==", "AQJ=", "AQI=AQI=", "A@==",
            "AQ\n=", "-_-_",
        ] {
            #expect(read(text) == nil, "\(text)")
        }
        #expect(Base64.decode(url: "-_-_") == [0xFB, 0xFF, 0xBF])
        #expect(Base64.decode(url: "AQ") == [1])
        for text in ["A", "AQ==", "+/+/", "+AAA", "/AAA", "AR", "AAAAA"] {
            #expect(Base64.decode(url: text) == nil, "\(text)")
        }
        #expect(Base64.encode(url: [0xFB, 0xFF]) == "-_8")
    }

    @Test func hexIsPairs() {
        #expect(Hex.decode("00ffAb") == [0, 0xFF, 0xAB])
        #expect(Hex.decode("") == [])
        for text in ["0", "0g", "g0", "0x", "/0", ":0", "@0", "G0", "`0", " 0"] {
            #expect(Hex.decode(text) == nil, "\(text)")
        }
    }

    private func json(_ text: String) -> JSONValue? { JSONParser.parse(Array(text.utf8)) }

    @Test func jsonHasOneReading() {
        let deepest = JSONParser.maxDepth - 1
        let open = String(repeating: "[", count: deepest)
        let close = String(repeating: "]", count: deepest)
        #expect(json(open + "1" + close) != nil)
        #expect(json("[" + open + "1" + close + "]") == nil)
        for text in [
            "0", "-0", "10", "1.5", "1e5", "1E+5", "1e-5", "0.0", " 1 ", "\t[\n1\r]", "[]", "{}",
            "[1 , 2]",
            "{ \"a\" : 1 , \"b\" : 2 }", "\"\\u0041\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "true",
            "\"\u{7F}\"", "\" \"",
        ] {
            #expect(json(text) != nil, "\(text)")
        }
        for text in [
            "", "-", "+1", "00", "1.", ".5", "1e", "1e+", "1x", "--1", "tru", "truE", "nul",
            "falsy", "[1",
            "[1,", "[,1]", "[1 2]", "[1}", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,",
            "{\"a\":1,}", "{a:1}", "{a\":1}", "{\"a\" 1}", "{1:1}", "{\"a\":1 \"b\":2}", "\"",
            "\"\\",
            "\"\\x\"",
            "\"\\u\"", "\"\\u004\"", "\"\\u00g0\"", "\"\\ud800\"", "\"\\ud800x\"", "\"\\ud800\\n\"",
            "\"\\ud800\\u0041\"", "\"\\ud800\\ue000\"", "\"\\udc00\"", "\"\u{1F}\"", "\"\n\"",
            "1 1",
            "{\"a\":1,\"\\u0061\":2}", "\u{FEFF}1", "\u{B}1", "\u{A0}1",
        ] {
            #expect(json(text) == nil, "\(text)")
        }
        #expect(JSONParser.parse([0x22, 0xFF, 0x22]) == nil)
        #expect(JSONParser.parse([0x22, 0xC0, 0x80, 0x22]) == nil)
        #expect(json("\"\\ud83d\\ude00\"")?.text == "😀")
        #expect(json("\"\\ud800\\udc00\"")?.text == "\u{10000}")
        #expect(json("\"\\udbff\\udfff\"")?.text == "\u{10FFFF}")
    }

    @Test func jsonHasSoManyValues() {
        // The array itself is one of them.
        let most = Array(repeating: "0", count: JSONParser.maxValues - 1).joined(separator: ",")
        #expect(json("[\(most)]") != nil)
        #expect(json("[\(most),0]") == nil)
    }

    @Test(arguments: [2, 8, 64]) func jsonNamesNothingTwice(_ count: Int) {
        let names = (0..<count).map { "\"\($0)\":0" }.joined(separator: ",")
        #expect(json("{\(names)}") != nil)
        for again in 0..<count {
            #expect(json("{\(names),\"\(again)\":0}") == nil, "\(again)")
            #expect(json("{\(names),\"new\":0,\"\(again)\":0}") == nil, "\(again)")
        }
    }

    @Test func comparisonsAreOfTheWhole() {
        #expect(ConstantTime.equal([1, 2], [1, 2]))
        #expect(ConstantTime.equal([], []))
        for (left, right): ([UInt8], [UInt8]) in [
            ([1], [1, 2]), ([1, 2], [1]), ([], [1]), ([1, 2], [1, 3]), ([0, 2], [1, 2]),
        ] {
            #expect(!ConstantTime.equal(left, right))
        }
    }

    @Test func memoriesHaveTheirSize() {
        let memory = Remembered<Int>(capacity: 2)
        for value in 0..<3 { memory.keep(value, for: [UInt8(value)]) }
        #expect((0..<3).filter { memory.value([UInt8($0)]) != nil }.count == 2)
        #expect(memory.value([2]) == 2)
        memory.clear()
        #expect(memory.value([2]) == nil)
    }

    @Test func keysHaveOneEncoding() throws {
        for curve in [PublicKey.Algorithm.p256, .p384] {
            let key = try PrivateKey.generate(curve).publicKey
            let size = try #require(key.coordinateSize)
            let point = Array(key.spki.suffix(2 * size + 1))
            let front = Array(key.spki.dropLast(2 * size + 1))
            #expect(try PublicKey(spki: front + point).spki == key.spki)
            for wrong in [
                front + [0] + point, front + [4] + point,
                [0x30, 0x81] + key.spki.dropFirst(), [0x31] + front.dropFirst() + point,
                front.dropLast() + point,
                key.spki + [0],
            ] {
                #expect(throws: KeyError.self) { try PublicKey(spki: Array(wrong)) }
            }
            for raw: [UInt8] in [[], [1], [UInt8](repeating: 1, count: 2 * size - 1)] {
                #expect(!key.verifies(raw: raw, over: [1]))
            }
        }
        // RSA with an exponent that fills the key up to its largest size.
        let modulus = [0xC0] + [UInt8](repeating: 0x5A, count: 1022) + [1]
        func isRead(_ size: Int) -> Bool {
            for count in 1..<200 {
                let exponent = [UInt8](repeating: 0x11, count: count)
                let inner = DER.sequence([DER.integer(modulus), DER.integer(exponent)])
                let spki = DER.sequence([
                    DER.sequence([DER.objectIdentifier("1.2.840.113549.1.1.1"), DER.null]),
                    DER.bitString(inner),
                ])
                if spki.count == size { return (try? PublicKey(spki: spki)) != nil }
            }
            return false
        }
        #expect(isRead(1024 + 128))
        #expect(!isRead(1024 + 129))
        let key = try PublicKey(
            modulus: [0xC0] + [UInt8](repeating: 0x5A, count: 254) + [1], exponent: 65_537)
        #expect(throws: Never.self) { try key.encryptOAEP([1], label: [0], digest: .sha256) }
        #expect(throws: KeyError.self) {
            try key.encryptOAEP(
                [UInt8](repeating: 1, count: 256), label: [0], digest: .sha256)
        }
    }
}
