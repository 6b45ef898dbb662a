import Keys
import RATS
import Testing

@testable import Appraisal

/// Attestation Results of other Verifiers: each line of the appraisal by its own refusal.
struct ResultAppraisalTests {
    private static let now: Int64 = 1_800_000_000

    /// A Verifier of our own, and a policy for its tokens, to be changed.
    struct Setup {
        let key: PrivateKey
        var header = #"{"alg":"ES256","kid":"k1"}"#
        var claims = """
            {"iss":"https://verifier","aud":["us","them"],"iat":1799999990,"exp":1800000060,\
            "eat_nonce":"00ff","submods":{"cpu0":{"ear.status":"affirming"}}}
            """
        var change: (inout String) -> Void = { _ in }
        var keys: [UInt8] = []
        var issuer = ResultPolicy.Names.oneOf(["https://verifier"])
        var audience = ResultPolicy.Names.oneOf(["us"])
        var maxAge: UInt32 = 300
        var constraints = [
            ResultPolicy.Constraint(
                path: ["submods", "cpu0", "ear.status"], allowed: [.string("affirming")])
        ]

        init() throws {
            key = try PrivateKey.generate()
            keys = Setup.set(key.publicKey, #""kid":"k1","#)
        }

        static func set(_ key: PublicKey, _ more: String) -> [UInt8] {
            let point = Array(key.bare.dropFirst())
            let x = Base64.encode(url: Array(point[..<32])),
                y = Base64.encode(url: Array(point[32...]))
            return Array(
                #"{"keys":[{"kty":"EC","crv":"P-256",\#(more)"x":"\#(x)","y":"\#(y)"}]}"#.utf8)
        }

        func sign(_ header: String, _ claims: String) throws -> String {
            let head = Base64.encode(url: Array(header.utf8))
            let signed = head + "." + Base64.encode(url: Array(claims.utf8))
            return signed + "." + Base64.encode(url: try key.signRaw(Array(signed.utf8)))
        }

        func token() throws -> String {
            var text = try sign(header, claims)
            change(&text)
            return text
        }

        func appraise(_ bytes: [UInt8], covering: [UInt8]? = nil) throws -> String {
            do throws(Refusal) {
                guard let bundle = EvidenceBundle(file: bytes) else { return "no token" }
                let policy = ResultPolicy(
                    keys: try VerifierKeys(parsing: keys), issuer: issuer, audience: audience,
                    maxAge: maxAge, claims: constraints)
                let peer = PeerPolicy(
                    name: "node", tier: .none, maxAge: 300, require: [.result: 1], tpm: nil,
                    result: policy, simulated: false, configuration: [])
                let result = try bundle.appraise(
                    AppraisalPolicy(mode: .enforce, peers: .appraised([peer]), digest: []),
                    covering: covering, now: ResultAppraisalTests.now)
                return "admitted until \(result.validUntil - ResultAppraisalTests.now)"
            } catch {
                return error.code
            }
        }
    }

    private func code(
        covering: [UInt8]? = nil, _ change: (inout Setup) throws -> Void = { _ in }
    ) throws -> String {
        var setup = try Setup()
        try change(&setup)
        return try setup.appraise(Array(try setup.token().utf8), covering: covering)
    }

    @Test func aTokenOfThePinnedVerifierIsAdmittedUntilItEnds() throws {
        #expect(try code() == "admitted until 60")
        #expect(try code { $0.maxAge = 20 } == "admitted until 10")
        #expect(try code(covering: [0, 255]) == "admitted until 60")
        #expect(
            try code { $0.keys = Array($0.key.publicKey.pemText.utf8) } == "admitted until 60")
        #expect(
            try code {
                $0.issuer = .any
                $0.audience = .any
                $0.claims = $0.claims.replacing(#""iss":"https://verifier","#, with: "")
            } == "admitted until 60")
    }

    @Test func itIsSignedByAPinnedKeyInAKnownWay() throws {
        #expect(
            try code { $0.keys = Setup.set(try PrivateKey.generate().publicKey, "") }
                == "result.signature.invalid")
        #expect(
            try code { $0.keys = Setup.set($0.key.publicKey, #""kid":"k2","#) }
                == "result.key.unknown")
        #expect(
            try code { $0.keys = Setup.set($0.key.publicKey, #""kid":"k1","alg":"ES384","#) }
                == "result.key.unknown")
        for use in [#""use":"enc","#, #""alg":"HS256","#] {
            #expect(
                try code { $0.keys = Setup.set($0.key.publicKey, use) } == "result.keys.malformed")
        }
        for algorithm in ["none", "HS256", "RS1", "es256", "ES512"] {
            #expect(
                try code { $0.header = #"{"alg":"\#(algorithm)","kid":"k1"}"# }
                    == "result.algorithm")
        }
        #expect(try code { $0.header = #"{"kid":"k1"}"# } == "result.algorithm")
        // A key of another kind than the algorithm's.
        for algorithm in ["RS256", "PS384", "ES384"] {
            #expect(
                try code { $0.header = #"{"alg":"\#(algorithm)","kid":"k1"}"# }
                    == "result.key.unknown")
        }
        #expect(
            try code { $0.header = #"{"alg":"ES256","kid":"k1","crit":["b64"],"b64":false}"# }
                == "result.header.critical")
        // What the token says of its own key counts for nothing.
        let other = try Setup()
        #expect(
            try code {
                $0.header = #"{"alg":"ES256","kid":"k1","jku":"https://attacker"}"#
                $0.keys = other.keys
            } == "result.signature.invalid")
    }

    @Test func oneChangedCharacterIsRefused() throws {
        for place in [40, 60, 120] {
            let found = try code {
                $0.change = { text in
                    var characters = Array(text.utf8)
                    characters[place] = characters[place] == 0x41 ? 0x42 : 0x41
                    text = String(decoding: characters, as: UTF8.self)
                }
            }
            #expect(["result.signature.invalid", "result.malformed"].contains(found))
        }
        for change in [".", "=", "\n\n", " "] {
            #expect(try code { $0.change = { $0 += change } } == "result.malformed")
        }
        #expect(try code { $0.change = { $0 += "\n" } } == "admitted until 60")
        #expect(try code { $0.claims = "[1]" } == "result.malformed")
        #expect(try code { $0.claims = #"{"iat":1,"iat":2}"# } == "result.malformed")
        #expect(try code { $0.header = "{\"alg\":\"ES256\"" } == "result.malformed")
    }

    @Test func itsTimesHold() throws {
        func at(_ old: String, _ new: String) throws -> String {
            try code { $0.claims = $0.claims.replacing(old, with: new) }
        }
        #expect(try at("1800000060", "1800000000") == "result.expired")
        #expect(try at("1800000060", "1800000001") == "admitted until 1")
        #expect(try at("1800000060", "1800000060.5") == "admitted until 60")
        #expect(try at("\"iat\":1799999990", "\"iat\":1800000061") == "result.early")
        #expect(
            try at("\"iat\":1799999990", "\"iat\":1799999990,\"nbf\":1800000061") == "result.early")
        #expect(
            try at("\"iat\":1799999990", "\"iat\":1799999990,\"nbf\":1800000060")
                == "admitted until 60")
        #expect(try at("\"iat\":1799999990", "\"iat\":1799999700") == "result.age")
        #expect(try at("\"iat\":1799999990,", "") == "result.time.missing")
        #expect(try at(",\"exp\":1800000060", "") == "admitted until 290")
        #expect(try at("\"iat\":1799999990,\"exp\":1800000060,", "") == "result.time.missing")
        #expect(try at("\"exp\":1800000060", "\"exp\":\"1800000060\"") == "admitted until 290")
    }

    @Test func itSaysWhatThePolicyAsks() throws {
        #expect(try code { $0.issuer = .oneOf(["https://other"]) } == "result.issuer")
        #expect(try code { $0.issuer = .oneOf([]) } == "result.issuer")
        #expect(try code { $0.audience = .oneOf(["others"]) } == "result.audience")
        #expect(
            try code {
                $0.claims = $0.claims.replacing(#""aud":["us","them"],"#, with: "")
            } == "result.audience")
        #expect(
            try code { $0.claims = $0.claims.replacing("affirming", with: "warning") }
                == "result.claim")
        #expect(
            try code { $0.claims = $0.claims.replacing("cpu0", with: "cpu1") } == "result.claim")
        #expect(
            try code {
                $0.constraints = [.init(path: ["submods", "cpu0", "ear.status"], allowed: [])]
            } == "result.claim")
        #expect(try code(covering: [0, 254]) == "evidence.nonce.mismatch")
        #expect(
            try code(covering: [0, 255]) {
                $0.claims = $0.claims.replacing("eat_nonce", with: "other")
            } == "evidence.nonce.mismatch")
        #expect(
            try code(covering: [0, 255]) {
                $0.claims = $0.claims.replacing("\"00ff\"", with: "[\"01\",\"AP8\"]")
            } == "admitted until 60")
    }

    @Test func aDetachedBundleHangsTogether() throws {
        let setup = try Setup()
        let device = try setup.sign(
            setup.header,
            """
            {"iss":"https://verifier","iat":1799999990,"exp":1800000060,"eat_nonce":"00ff",\
            "measres":"success"}
            """
        )
        func bundle(
            _ device: String?, named: String = "GPU-0", hash: String? = nil,
            form: String = "SHA-256", stated: String? = nil,
            asking path: [String] = ["submods", "GPU-0", "measres"], for value: String = "success"
        ) throws -> String {
            let digest = hash ?? Hex.encode(Digest.sha256(Array((device ?? "").utf8)))
            let claims = """
                {"iss":"https://verifier","aud":"us","iat":1799999990,"exp":1800000060,\
                "eat_nonce":"00ff",\
                "submods":{"GPU-0":\(stated?.replacing("HASH", with: digest)
                    ?? "[\"DIGEST\",[\"\(form)\",\"\(digest)\"]]")}}
                """
            let others = device.map { "\"\(named)\":\"\($0)\"" } ?? ""
            let text = "[[\"JWT\",\"\(try setup.sign(setup.header, claims))\"],{\(others)}]"
            var copy = setup
            copy.constraints = [.init(path: path, allowed: [.string(value)])]
            return try copy.appraise(Array(text.utf8), covering: [0, 255])
        }
        #expect(try bundle(device) == "admitted until 60")
        #expect(try bundle(device, hash: String(repeating: "00", count: 32)) == "result.submodule")
        #expect(try bundle(device, named: "GPU-1") == "result.submodule")
        #expect(try bundle(nil) == "result.submodule")
        #expect(try bundle(device, form: "SHA-1") == "result.malformed")
        for stated in [
            "[\"TOKEN\",[\"SHA-256\",\"HASH\"]]", "[\"DIGEST\",[\"SHA-256\",\"HASH\"],1]",
            "[\"DIGEST\",[\"SHA-256\",\"HASH\",1]]", "[\"DIGEST\",[\"SHA-256\"]]", "[]", "1",
        ] {
            #expect(try bundle(device, stated: stated) == "result.malformed", "\(stated)")
        }
        // The claims of the first token are asked for as they are.
        #expect(
            try bundle(device, asking: ["eat_nonce"], for: "00ff") == "admitted until 60")
        #expect(try bundle(device, asking: ["measres"]) == "result.claim")
        // Named with the right hash, but signed by nobody who is pinned; of another nonce; expired.
        let stranger = try Setup()
        let same = #"{"iat":1799999990,"eat_nonce":"00ff","measres":"success"}"#
        #expect(try bundle(stranger.sign(setup.header, same)) == "result.signature.invalid")
        let other = #"{"iat":1799999990,"eat_nonce":"00fe","measres":"success"}"#
        #expect(try bundle(setup.sign(setup.header, other)) == "evidence.nonce.mismatch")
        let old = #"{"iat":1799999990,"exp":1799999999,"eat_nonce":"00ff","measres":"success"}"#
        #expect(try bundle(setup.sign(setup.header, old)) == "result.expired")
    }

    @Test func aBundleHasAtMost32Parts() throws {
        let setup = try Setup()
        func bundle(_ count: Int) throws -> String {
            let device = try setup.sign(setup.header, #"{"iat":1799999990}"#)
            let digest = Hex.encode(Digest.sha256(Array(device.utf8)))
            let submodules = (0..<count).map { #""\#($0)":["DIGEST",["SHA-256","\#(digest)"]]"# }
            let claims = """
                {"iss":"https://verifier","aud":"us","iat":1799999990,"exp":1800000060,\
                "submods":{\(submodules.joined(separator: ","))}}
                """
            let others = (0..<count).map { #""\#($0)":"\#(device)""# }.joined(separator: ",")
            let text = "[[\"JWT\",\"\(try setup.sign(setup.header, claims))\"],{\(others)}]"
            var copy = setup
            copy.constraints = []
            return try copy.appraise(Array(text.utf8))
        }
        #expect(try bundle(32) == "admitted until 60")
        #expect(try bundle(33) == "result.malformed")
    }

    @Test func timesAreWithinTheCalendar() throws {
        func read(_ text: String) -> Int64? {
            ResultToken.time("iat", .object([.init("iat", .number(text))]))
        }
        #expect(read("0") == 0)
        #expect(read("253402300799") == 253_402_300_799)
        for text in ["-1", "253402300800", "1e3"] { #expect(read(text) == nil, "\(text)") }
    }

    @Test func noConnectionCarriesOne() throws {
        let setup = try Setup()
        let evidence = Evidence(.result, bytes: Array(try setup.token().utf8))
        let refusal = #expect(throws: Refusal.self) {
            try Appraiser.authenticate(
                .init(evidence: [evidence], endorsements: [], configuration: Array("{}".utf8)),
                expected: .init(
                    reportData: [UInt8](repeating: 0, count: 64),
                    tpmQualifyingData: [UInt8](repeating: 0, count: 32)))
        }
        #expect(refusal?.code == "result.unbound")
    }
}

extension PublicKey {
    fileprivate var pemText: String {
        "-----BEGIN PUBLIC KEY-----\n" + Base64.encode(spki) + "\n-----END PUBLIC KEY-----\n"
    }
}
