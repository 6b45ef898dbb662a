internal import Keys
internal import RATS

/// A signed Attestation Result of another Verifier (RFC 9334 section 8.4), in a file.
///
/// - a JSON or CBOR Web Token: EAR (draft-ietf-rats-ear), Intel Trust Authority, Azure MAA;
/// - what NVIDIA's NRAS answers: a detached bundle `[["JWT", token], {name: token, …}]` (RFC 9711
///   section 5), whose first token has the hash of each of the others under `submods`.
///
/// Whoever made it appraised the Evidence: a policy says whose word is taken, and for what.
struct ResultToken: RefusingEvidence {
    static let format = EvidenceFormat.result

    /// The token itself, or the first of a bundle.
    let main: SignedClaims
    /// The others of a bundle by name.
    let parts: [(name: String, token: SignedClaims)]

    /// Sixteen GPUs and as many switches.
    private static let maxParts = 32
    /// Seconds that the Verifier's clock may be ahead; NTP keeps both far closer.
    static let skew: Int64 = 60

    init(_ bytes: [UInt8]) throws(Refusal) {
        guard bytes.count <= SignedClaims.maxSize else {
            throw ResultToken.malformed("token", "at most \(SignedClaims.maxSize) bytes")
        }
        if bytes.first == UInt8(ascii: "["), let list = JSONParser.parse(bytes)?.items {
            (main, parts) = try ResultToken.bundle(list)
        } else if let text = String(validating: bytes, as: UTF8.self), text.hasPrefix("eyJ") {
            let line = text.hasSuffix("\n") ? String(text.dropLast()) : text
            (main, parts) = (try SignedClaims(jwt: line), [])
        } else {
            (main, parts) = (try SignedClaims(cwt: bytes), [])
        }
    }

    private static func bundle(
        _ list: [JSONValue]
    ) throws(Refusal) -> (SignedClaims, [(name: String, token: SignedClaims)]) {
        guard list.count == 2, let first = list[0].items, first.count == 2,
            first[0].text == "JWT", let text = first[1].text, let others = list[1].members,
            others.count <= maxParts
        else { throw malformed("bundle", "[[\"JWT\", token], {name: token, …}]") }
        let main = try SignedClaims(jwt: text)
        let named = main.claims["submods"]?.members ?? []
        // Each that is named is there and each that is there is named, with its hash.
        guard named.map(\.name).sorted() == others.map(\.name).sorted() else {
            throw refusal(
                "result.submodule", .evidence, "submods",
                named.map(\.name).joined(separator: ", "),
                others.map(\.name).joined(separator: ", "))
        }
        var parts: [(name: String, token: SignedClaims)] = []
        for member in others {
            guard let token = member.value.text else { throw malformed("bundle", "tokens") }
            let stated = main.claims["submods"]?[member.name]?.items ?? []
            let hash = stated.count == 2 && stated[0].text == "DIGEST" ? stated[1].items ?? [] : []
            guard hash.count == 2, ["SHA-256", "SHA256"].contains(hash[0].text) else {
                throw malformed("submods.\(member.name)", "[\"DIGEST\", [\"SHA-256\", hash]]")
            }
            let digest = Hex.encode(Digest.sha256(Array(token.utf8)))
            guard hash[1].text == digest else {
                throw refusal(
                    "result.submodule", .evidence, "submods.\(member.name)",
                    hash[1].text ?? "a hash", digest)
            }
            parts.append((member.name, try SignedClaims(jwt: token)))
        }
        return (main, parts)
    }

    private var all: [SignedClaims] { [main] + parts.map(\.token) }

    /// Checks every signature, and that now is within the times that each token names.
    ///
    /// Expiry, or a time of issue from which a policy counts, has to be there.
    func check(_ keys: VerifierKeys, now: Int64) throws(Refusal) {
        for token in all {
            try token.check(keys)
            let issued = ResultToken.time("iat", token.claims)
            let ends = ResultToken.time("exp", token.claims)
            guard issued != nil || ends != nil else {
                throw ResultToken.refusal(
                    "result.time.missing", .evidence, "exp", "an expiry or a time of issue", "none")
            }
            if let ends, now >= ends {
                throw ResultToken.refusal(
                    "result.expired", .evidence, "exp", "after \(UTCTime.text(now))",
                    UTCTime.text(ends), "ask the Verifier for another")
            }
            for (name, begin) in [("iat", issued), ("nbf", ResultToken.time("nbf", token.claims))] {
                guard let begin, begin > now + ResultToken.skew else { continue }
                throw ResultToken.refusal(
                    "result.early", .evidence, name, "by \(UTCTime.text(now))",
                    UTCTime.text(begin), "set the clocks")
            }
        }
    }

    /// NumericDate, RFC 7519 section 2: whole seconds count.
    static func time(_ name: String, _ claims: JSONValue) -> Int64? {
        guard case .number(let text)? = claims[name],
            let whole = Int64(text.prefix { $0 != "." }), (0...253_402_300_799).contains(whole)
        else { return nil }
        return whole
    }

    /// All claims in one document, those of the parts under `submods`.
    var document: JSONValue {
        guard !parts.isEmpty, let members = main.claims.members else { return main.claims }
        return .object(
            members.map { member in
                guard member.name == "submods" else { return member }
                return .init(
                    "submods", .object(parts.map { .init($0.name, $0.token.claims) }))
            })
    }

    static let unbound = refusal(
        "result.unbound", .binding, "binding", "Evidence of this connection or key",
        "a token, which nothing ties to it", "verify the token as a file")

    static func algorithm(_ got: String) -> Refusal {
        refusal(
            "result.algorithm", .evidence, "alg",
            TokenAlgorithm.allCases.map(\.rawValue).joined(separator: " or "), got,
            "have the Verifier sign with a key pair")
    }

    static func malformed(_ field: String, _ expected: String) -> Refusal {
        refusal("result.malformed", .evidence, field, expected, "something else")
    }
}
