internal import Keys
internal import RATS

/// A CCA attestation token: CBOR tag 399 over a map of platform token (44234) and realm token
/// (44241), each a byte string with a COSE_Sign1 (RFC 9052 section 4.2).
struct CCAToken: Sendable {
    /// The realm reads it in granules of 4 KiB; those in use have below 2 KiB, four is plenty.
    static let maxSize = 16 * 1024
    private static let tag: UInt64 = 399

    let platform: CCAPlatform
    let realm: CCARealm
    private let platformEnvelope: Envelope
    private let realmEnvelope: Envelope

    init(_ bytes: [UInt8]) throws(Refusal) {
        guard bytes.count <= CCAToken.maxSize else {
            throw CCAEvidence.malformed(
                "token", "at most \(CCAToken.maxSize) bytes", "\(bytes.count)")
        }
        do throws(CBORError) {
            let value = try CBORDecoder.decode(bytes, rules: .anyOrder)
            guard case .tagged(CCAToken.tag, let map) = value else {
                throw CBORError(.wrongType, offset: 0)
            }
            let fields = try CBORFields(map, allowed: [44234, 44241])
            platformEnvelope = try Envelope(fields.bytes(44234))
            realmEnvelope = try Envelope(fields.bytes(44241))
        } catch {
            throw CCAEvidence.malformed(
                "token", "tag 399 with platform and realm token", error.description)
        }
        platform = try CCAPlatform(platformEnvelope.payload)
        realm = try CCARealm(realmEnvelope.payload)
    }

    /// Whether platform token, realm's key and realm token hang together under `platformKey`.
    func checkSignatures(_ platformKey: PublicKey) throws(Refusal) {
        guard platformEnvelope.isSigned(by: platformKey) else {
            throw CCAEvidence.refusal(
                "cca.platform.signature", .evidence, "signature of the platform token",
                "one by the platform attestation key", "another",
                "the token was changed, or is of another machine than the key")
        }
        let hash = realm.keyDigest.hash(realm.writtenKey)
        guard ConstantTime.equal(platform.challenge, hash) else {
            throw CCAEvidence.refusal(
                "cca.realm.key", .evidence, "challenge of the platform token", Hex.encode(hash),
                Hex.encode(platform.challenge), "the realm's key is not the platform's")
        }
        guard realmEnvelope.isSigned(by: realm.key) else {
            throw CCAEvidence.refusal(
                "cca.realm.signature", .evidence, "signature of the realm token",
                "one by the realm attestation key", "another", "the token was changed")
        }
    }

    /// Whether the machine is one that keeps secrets; no policy can allow another.
    ///
    /// States of the security lifecycle are 0x0000 and up in steps of 0x1000 (PSA Security Model
    /// 1.0 section 3.4), 0x3000 to 0x30FF is `secured`; later ones are for debugging.
    func checkLifecycle() throws(Refusal) {
        guard (0x3000...0x30FF).contains(platform.lifecycle) else {
            throw CCAEvidence.refusal(
                "cca.lifecycle", .evidence, "security lifecycle", "0x3000 to 0x30ff (secured)",
                "0x\(String(platform.lifecycle, radix: 16))",
                "the machine can be debugged or is not provisioned; use another")
        }
    }

    var claims: Claims {
        var claims = Claims()
        platform.addClaims(to: &claims)
        claims.set("platform.signature_algorithm", .text(platformEnvelope.algorithm.name))
        realm.addClaims(to: &claims)
        claims.set("realm.signature_algorithm", .text(realmEnvelope.algorithm.name))
        return claims
    }

    private enum Algorithm {
        case es256, es384

        var name: String { self == .es256 ? "ES256" : "ES384" }
        var digest: Digest { self == .es256 ? .sha256 : .sha384 }
        var curve: PublicKey.Algorithm { self == .es256 ? .p256 : .p384 }
        // −7 and −35, RFC 9053 section 2.1; any other header might change what is signed.
        var header: [UInt8] {
            CBORValue.map([.init(.unsigned(1), .negative(self == .es256 ? 6 : 34))]).encoded()
        }
    }

    private struct Envelope {
        let algorithm: Algorithm
        let payload: [UInt8]
        let signature: [UInt8]

        init(_ bytes: [UInt8]) throws(CBORError) {
            let value = try CBORDecoder.decode(bytes, rules: .anyOrder)
            let all = [Algorithm.es256, .es384]
            guard case .tagged(18, let inner) = value, let items = inner.items, items.count == 4,
                let header = items[0].byteString,
                let algorithm = all.first(where: { $0.header == header }), items[1] == .map([]),
                let payload = items[2].byteString, let signature = items[3].byteString
            else { throw CBORError(.wrongType, offset: 0) }
            self.algorithm = algorithm
            self.payload = payload
            self.signature = signature
        }

        func isSigned(by key: PublicKey) -> Bool {
            // Sig_structure without external data, RFC 9052 section 4.4.
            let text = CBORValue.array([
                .text("Signature1"), .bytes(algorithm.header), .bytes([]), .bytes(payload),
            ]).encoded()
            return key.algorithm == algorithm.curve
                && key.verifies(raw: signature, over: text, digest: algorithm.digest)
        }
    }
}
