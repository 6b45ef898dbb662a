import Keys
import RATS
import Testing

@testable import Appraisal

/// The forms of tokens and key sets, without a policy: what they may look like and how long.
struct ResultFormTests {
    // An RSA key made for these tests, and what it signed.
    private static let modulus = """
        xAb1qdDqHWT7pJAGzk9ZCU56jWCksFmgrfqEEy8RIBpcCRwiNwLfYnO_S4NgmDSlUYMdN1wGDOrIBMs3MCcz\
        fQzNXTNCknFdnQOPCLK7DG2KKWBAVWIqmn60WOJ4vyRpi2hVbMDoqk2g5cEy9wEnH8rAs9LVXTRJtyNXFhAE\
        62BCZVNqNBiP7z4uCnv6hDy8KTDjbJTJEMwHpmC2JbCFOWlGpeSW3tUhd_AdhlzLi3G4AKlmRTJ87FvbTi-H\
        _D6UqbW8k6ScHOR7ExewujwIKTjdMK1SHqrFqVdXAJoQ9_JX5sgIACDG3iYwd6UdpN1hAwwvIe9aQwzcE8qP\
        PJbXxQ
        """
    private static let pkcs1 = """
        eyJhbGciOiJSUzI1NiJ9.eyJpYXQiOjE3OTk5OTk5OTAsImV4cCI6MTgwMDAwMDA2MH0.Dv69ELD7XoLpqMT\
        FP50BghbjfG7jT4Qad9mV9UJxEeNXVNRbVmsd_R69fCOgkNgqV-4cph69Yt3d9So_oxEN13R_pdj38lrJ9fv\
        rpmbveT3X9dNYf6iJNMHCprT-OyS8XJn5Z8_uVhv52GrS2RmNdqxNbTGROkS9JYrwQgRcnplHgi66qGBvAG8\
        G34O7XE6059zro7d6Mh648EmVdYdbPerLWRkF0ylTm8cp0_W3Cm8zQp3ZpQoPRkqYSjrgY0dnmHdeNvZ0lF7\
        ht0fgGqe38jnjfry2Wy1GZpBgM0tu6YYpHTQ68q__HnjIo6xFD8oDkcDGQeVqD5-9E_C6GUTsSg
        """
    private static let pss = """
        eyJhbGciOiJQUzI1NiJ9.eyJpYXQiOjE3OTk5OTk5OTAsImV4cCI6MTgwMDAwMDA2MH0.NCspo_N4hQL2scu\
        DZ6lL5FWDTC5lLJkGAmbTwByc2wlOQKtTegfY6IO-Xgd_todC7qQWTEN_PAZasCbeZs2WlZHVn-8rbmg8aA5\
        S9Cl5yI9_Frv5v_AUbh9fA81PWK5adhBrKvv65FROfXy2_D1XlBpeeCYW-wTgGPYKDPIX10ZgsEBSGY6fbWG\
        Um_xpFDvmVtT8caek03XP201vyOf-WGPQONCuT_J8cjtVuEqDIqQFW9o_rbbT6wdVBYTTZLkmuRvqR9eWfeG\
        qWKM97ySsycCrYKl4KhHN0FIhcZawA3YROwnTD_fPNMTDcopF_9hQ1xVlP_i9qoKzctQyBawORA
        """

    private let key: PrivateKey

    init() throws { key = try PrivateKey.generate() }

    private func code(_ body: () throws -> Void) rethrows -> String {
        do {
            try body()
            return "good"
        } catch let refusal as Refusal {
            return refusal.code
        }
    }

    private func keys(_ text: String) throws -> String {
        try code { _ = try VerifierKeys(parsing: Array(text.utf8)) }
    }

    private func rsa(_ more: String = "", exponent: String = "AQAB") -> String {
        #"{"keys":[{"kty":"RSA",\#(more)"n":"\#(ResultFormTests.modulus)","e":"\#(exponent)"}]}"#
    }

    private func check(_ token: String, _ set: String) throws -> String {
        try code {
            try ResultToken(Array(token.utf8)).check(
                VerifierKeys(parsing: Array(set.utf8)), now: 1_800_000_000)
        }
    }

    @Test func signaturesOfRSAHaveTheirPadding() throws {
        let (pkcs1, pss) = (ResultFormTests.pkcs1, ResultFormTests.pss)
        #expect(try check(pkcs1, rsa()) == "good")
        #expect(try check(pss, rsa()) == "good")
        #expect(try check(pss, rsa(#""alg":"RS256","#)) == "result.key.unknown")
        for token in [pkcs1, pss] {
            var bytes = Array(token.utf8)
            bytes[bytes.count - 100] ^= 3
            #expect(
                try check(String(decoding: bytes, as: UTF8.self), rsa())
                    == "result.signature.invalid")
        }
        // The header decides on the padding.
        let header = "eyJhbGciOiJSUzI1NiJ9"
        #expect(
            try check(header + pss.dropFirst(header.count), rsa()) == "result.signature.invalid")
    }

    @Test func setsHoldKeysThatSign() throws {
        let malformed = "result.keys.malformed"
        #expect(try keys(rsa()) == "good")
        #expect(try keys(rsa(#""use":"sig","#)) == "good")
        #expect(try keys(rsa(#""use":"enc","#)) == malformed)
        // 65,537 with zeros in front, and a longer number that ends like it.
        #expect(try keys(rsa(exponent: "AAEAAQ")) == "good")
        #expect(try keys(rsa(exponent: "AQABAAE")) == malformed)
        #expect(try keys(rsa(exponent: "")) == malformed)
        let one = rsa().dropFirst(9).dropLast(2)
        func many(_ count: Int) -> String {
            #"{"keys":[\#(Array(repeating: one, count: count).joined(separator: ","))]}"#
        }
        #expect(try keys(many(VerifierKeys.maxKeys)) == "good")
        #expect(try keys(many(VerifierKeys.maxKeys + 1)) == malformed)
        #expect(try keys(many(0)) == malformed)
        let blanks = String(repeating: " ", count: VerifierKeys.maxSize - rsa().utf8.count)
        #expect(try keys(rsa() + blanks) == "good")
        #expect(try keys(rsa() + blanks + " ") == malformed)
    }

    /// A certificate counts where the key itself is not there, and never in place of a bad one.
    @Test func aCertificateStandsForItsKey() throws {
        let template = FakePKI.Template(subject: "Verifier", issuer: "Verifier")
        let der = try FakePKI.certificate(template, of: key, by: key)
        let chain = #""x5c":["\#(Base64.encode(der))"]"#
        func set(_ kind: String, _ more: String) -> String {
            #"{"keys":[{"kty":"\#(kind)",\#(more)\#(chain)}]}"#
        }
        for kind in ["RSA", "EC"] { #expect(try keys(set(kind, "")) == "good") }
        #expect(try keys(set("RSA", #""n":"AA","e":"AQAB","#)) == "result.keys.malformed")
        #expect(
            try keys(set("EC", #""crv":"P-256","x":"AA","y":"AA","#)) == "result.keys.malformed")
    }

    @Test func keysAreTheSameByNameAlgorithmAndKey() throws {
        func read(_ more: String) throws -> VerifierKeys {
            try VerifierKeys(parsing: ResultAppraisalTests.Setup.set(key.publicKey, more))
        }
        let plain = try read(#""kid":"a","alg":"ES256","#)
        #expect(try plain == read(#""kid":"a","alg":"ES256","#))
        #expect(try plain != read(#""kid":"b","alg":"ES256","#))
        #expect(try plain != read(#""kid":"a","#))
        let other = try PrivateKey.generate().publicKey
        #expect(
            try plain
                != VerifierKeys(
                    parsing: ResultAppraisalTests.Setup.set(
                        other, #""kid":"a","alg":"ES256","#)))
    }

    @Test func aHeaderIsAnObjectAndABundleOfJWTs() throws {
        let claims = Base64.encode(url: Array("{}".utf8))
        func token(_ header: String) -> String {
            Base64.encode(url: Array(header.utf8)) + "." + claims + ".AA"
        }
        let good = token(#"{"alg":"ES256"}"#)
        #expect(try code { _ = try SignedClaims(jwt: good) } == "good")
        #expect(try code { _ = try SignedClaims(jwt: token("[1]")) } == "result.malformed")
        for (kind, wanted) in [("JWT", "good"), ("CWT", "result.malformed")] {
            #expect(try bundle(#"[["\#(kind)","\#(good)"],{}]"#) == wanted)
        }
        #expect(try bundle(#"[["JWT","\#(good)"],{},{}]"#) == "result.malformed")
        #expect(try bundle(#"[["JWT","\#(good)",1],{}]"#) == "result.malformed")
        let text = #"[["JWT","\#(good)"],{}]"#
        let blanks = String(repeating: " ", count: SignedClaims.maxSize - text.utf8.count)
        #expect(try bundle(text + blanks) == "good")
        #expect(try bundle(text + blanks + " ") == "result.malformed")
    }

    private func bundle(_ text: String) throws -> String {
        try code { _ = try ResultToken(Array(text.utf8)) }
    }

    @Test func tokensHaveTheirSize() throws {
        let head = Base64.encode(url: Array(#"{"alg":"ES256"}"#.utf8))
        // Blanks bring the rest to a length that Base64 has, with one more too.
        func token(_ size: Int) -> String {
            var claims = "{}"
            while true {
                let front = head + "." + Base64.encode(url: Array(claims.utf8)) + "."
                if (SignedClaims.maxSize - front.utf8.count) % 4 == 2 {
                    return front + String(repeating: "A", count: size - front.utf8.count)
                }
                claims += " "
            }
        }
        #expect(try code { _ = try SignedClaims(jwt: token(SignedClaims.maxSize)) } == "good")
        #expect(
            try code { _ = try SignedClaims(jwt: token(SignedClaims.maxSize + 1)) }
                == "result.malformed")
    }

    private func cwt(
        _ claims: CBORValue, parts: Int = 4, padding: Int = 0
    ) throws -> [UInt8] {
        let header = CBORValue.fields([(1, .negative(6))]).encoded()
        let signature = try key.signRaw(
            CBORValue.array([
                .text("Signature1"), .bytes(header), .bytes([]), .bytes(claims.encoded()),
            ]).encoded())
        let items: [CBORValue] = [
            .bytes(header), .map([]), .bytes(claims.encoded()),
            .bytes(signature + [UInt8](repeating: 0, count: padding)), .unsigned(0),
        ]
        return CBORValue.tagged(18, .array(Array(items.prefix(parts)))).encoded()
    }

    @Test func aCBORTokenIsFourPartsWithClaims() throws {
        let claims = CBORValue.fields([(6, .unsigned(1_799_999_990))])
        let pinned = VerifierKeys([key.publicKey])
        func outcome(_ bytes: [UInt8]) throws -> String {
            try code { try ResultToken(bytes).check(pinned, now: 1_800_000_000) }
        }
        #expect(try outcome(cwt(claims)) == "good")
        #expect(try outcome(cwt(claims, parts: 5)) == "result.malformed")
        #expect(try outcome(cwt(.array([]))) == "result.malformed")
        // The head of a long byte string has four bytes more than that of 64 bytes.
        let most = SignedClaims.maxSize - (try cwt(claims).count) - 3
        let full = try cwt(claims, padding: most)
        #expect(full.count == SignedClaims.maxSize)
        #expect(try code { _ = try SignedClaims(cwt: full) } == "good")
        let long = try cwt(claims, padding: most + 1)
        #expect(try code { _ = try SignedClaims(cwt: long) } == "result.malformed")
    }
}
