internal import Keys
internal import RATS

extension ResultToken {
    /// The claims for people, each under its path.
    var claims: Claims {
        var claims = Claims()
        claims.set("token.algorithm", .text(main.algorithm.rawValue))
        claims.set("token.key", .text(main.keyName ?? ""))
        for (name, value) in ResultToken.flat(document, []) { claims.set(name, value) }
        return claims
    }

    private static func flat(_ value: JSONValue, _ path: [String]) -> [(String, Claims.Value)] {
        if let members = value.members, !members.isEmpty {
            return members.flatMap { flat($0.value, path + [$0.name]) }
        }
        let name = path.joined(separator: ".")
        switch value {
        case .bool(let flag): return [(name, .flag(flag))]
        case .string(let text): return [(name, .text(text))]
        default: return [(name, .text(value.serialised()))]
        }
    }

    /// Refuses a token whose Verifier does not say that the Evidence covered `nonce`.
    ///
    /// It is looked for where the tokens have it: `eat_nonce` (EAR, NRAS), `nonce`, in what the
    /// caller of Azure's service gave, and in Intel's `verifier_nonce`; as hexadecimal, Base64 or
    /// text. Each token of a bundle has to have it.
    func check(covers nonce: [UInt8]) throws(Refusal) {
        for token in [main] + parts.map(\.token) {
            let found = ResultToken.nonces(token.claims)
            let isThere = found.contains { text in
                [Hex.decode(text), Base64.decode(Array(text.utf8)), Base64.decode(url: text)]
                    .contains { $0.map { ConstantTime.equal($0, nonce) } ?? false }
                    || ConstantTime.equal(Array(text.utf8), nonce)
            }
            guard isThere else {
                throw ResultToken.refusal(
                    "evidence.nonce.mismatch", .binding, "nonce", Hex.encode(nonce),
                    found.isEmpty ? "none" : found.joined(separator: ", "),
                    "have the machine appraised over your nonce")
            }
        }
    }

    private static func nonces(_ claims: JSONValue) -> [String] {
        let places: [[String]] = [
            ["eat_nonce"], ["nonce"], ["x-ms-runtime", "nonce"],
            ["x-ms-runtime", "client-payload", "nonce"], ["verifier_nonce", "val"],
            ["attester_runtime_data", "nonce"],
        ]
        return places.flatMap { path -> [String] in
            var value: JSONValue? = claims
            for name in path { value = value?[name] }
            // RFC 9711 section 4.1: one, or a list of several.
            return value?.items?.compactMap(\.text) ?? (value?.text).map { [$0] } ?? []
        }
    }
}
