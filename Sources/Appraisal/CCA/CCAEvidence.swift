internal import Keys
internal import RATS

/// Evidence of an Arm CCA realm: a CBOR map.
///
/// | key | value |
/// |---|---|
/// | 1 | the CCA attestation token as the realm manager gives it |
/// | 2 | the platform attestation key (CPAK), SubjectPublicKeyInfo |
struct CCAEvidence: RefusingEvidence {
    static let format = EvidenceFormat.cca

    let token: CCAToken
    /// The key that signed; nobody has vouched for it yet.
    let platformKey: PublicKey

    /// Checks structure, binding and signatures, in this order.
    static func authenticate(
        _ evidence: Evidence,
        expected: Appraiser.ExpectedBinding
    ) throws(Refusal) -> AuthenticEvidence {
        let cca = try CCAEvidence(evidence.bytes)
        let challenge = cca.token.realm.challenge
        guard ConstantTime.equal(challenge, expected.reportData) else {
            throw refusal(
                "cca.challenge.mismatch", .binding, "realm challenge",
                Hex.encode(expected.reportData), Hex.encode(challenge),
                "the token is not of this connection")
        }
        return try cca.authentic(index: evidence.index)
    }

    /// Checks signatures and lifecycle.
    func authentic(index: UInt16 = 0) throws(Refusal) -> AuthenticEvidence {
        try token.checkSignatures(platformKey)
        try token.checkLifecycle()
        var claims = token.claims
        claims.set("cpak", .bytes(Digest.sha256(platformKey.spki)))
        return AuthenticEvidence(format: .cca, index: index, claims: claims, detail: .cca(self))
    }

    /// Puts together what lies in files.
    init(token: [UInt8], platformKey: PublicKey) throws(Refusal) {
        self.token = try CCAToken(token)
        self.platformKey = platformKey
    }

    private init(_ bytes: [UInt8]) throws(Refusal) {
        let raw, key: [UInt8]
        do throws(CBORError) {
            let fields = try CBORFields(decoding: bytes, allowed: [1, 2])
            (raw, key) = (try fields.bytes(1), try fields.bytes(2))
        } catch {
            throw CCAEvidence.malformed("evidence", "token and platform key", error.description)
        }
        do throws(KeyError) {
            platformKey = try PublicKey(spki: key)
        } catch {
            throw CCAEvidence.malformed("platform key", "a key", error.description)
        }
        token = try CCAToken(raw)
    }

    static func malformed(_ field: String, _ expected: String, _ got: String) -> Refusal {
        refusal("cca.malformed", .evidence, field, expected, got)
    }
}
