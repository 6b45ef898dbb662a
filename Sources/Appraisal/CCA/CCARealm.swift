internal import Keys
internal import RATS

/// What the realm token says: the virtual machine.
struct CCARealm: Sendable {
    private static let profile = "tag:arm.com,2023:realm#1.0.0"

    /// `nil` in tokens from before profiles.
    let profile: String?
    /// What the realm asked to have covered, 64 bytes.
    let challenge: [UInt8]
    /// Realm personalisation value, 64 bytes.
    let personalization: [UInt8]
    /// The hash of the measurements.
    let digest: Digest
    /// The hash of the key in the platform's challenge.
    let keyDigest: Digest
    /// The realm attestation key as it is written in the token: what is hashed.
    let writtenKey: [UInt8]
    let key: PublicKey
    /// Realm initial measurement.
    let initial: [UInt8]
    /// Realm extensible measurements, four.
    let extensible: [[UInt8]]

    init(_ payload: [UInt8]) throws(Refusal) {
        let claims = try CCAClaims(
            payload, "realm", known: [10, 265, 44235, 44236, 44237, 44238, 44239, 44240])
        profile = try claims.optionalText(265, "profile")
        guard profile == nil || profile == CCARealm.profile else {
            throw claims.refusal("profile", CCARealm.profile, profile ?? "none")
        }
        challenge = try claims.bytes(10, "challenge", [64])
        personalization = try claims.bytes(44235, "personalization value", [64])
        digest = try claims.digest(44236, "hash algorithm")
        keyDigest = try claims.digest(44240, "hash algorithm of the key")
        writtenKey = try claims.bytes(44237, "public key")
        let found = profile == nil ? CCARealm.point(writtenKey) : CCARealm.coseKey(writtenKey)
        guard let found else {
            throw claims.refusal(
                "public key", profile == nil ? "a P-384 point" : "a COSE_Key over P-384")
        }
        key = found
        initial = try claims.bytes(44238, "initial measurement", CCAPlatform.hashSizes)
        var extensible: [[UInt8]] = []
        for item in try claims.items(44239, "extensible measurements", 4...4) {
            guard let bytes = item.byteString, CCAPlatform.hashSizes.contains(bytes.count) else {
                throw claims.refusal("extensible measurements", "32, 48 or 64 bytes each")
            }
            extensible.append(bytes)
        }
        self.extensible = extensible
    }

    // SEC 1 section 2.3.3, uncompressed.
    private static func point(_ bytes: [UInt8]) -> PublicKey? {
        guard bytes.count == 97, bytes[0] == 4 else { return nil }
        return try? PublicKey(curve: .p384, x: Array(bytes[1..<49]), y: Array(bytes[49...]))
    }

    // RFC 9053 section 7.1: kty EC2, crv P-384, both coordinates in full.
    private static func coseKey(_ bytes: [UInt8]) -> PublicKey? {
        guard let value = try? CBORDecoder.decode(bytes, rules: .anyOrder),
            let entries = value.entries, entries.count == 4
        else { return nil }
        func field(_ key: CBORValue) -> CBORValue? { entries.first { $0.key == key }?.value }
        guard field(.unsigned(1)) == .unsigned(2), field(.negative(0)) == .unsigned(2),
            let x = field(.negative(1))?.byteString, let y = field(.negative(2))?.byteString,
            x.count == 48, y.count == 48
        else { return nil }
        return try? PublicKey(curve: .p384, x: x, y: y)
    }

    /// The claims, under the names of draft-ffm-rats-cca-token.
    func addClaims(to claims: inout Claims) {
        if let profile { claims.set("realm.profile", .text(profile)) }
        claims.set("realm.challenge", .bytes(challenge))
        claims.set("realm.personalization", .bytes(personalization))
        claims.set("realm.hash_algo", .text(digest.tokenName))
        claims.set("realm.rak_hash_algo", .text(keyDigest.tokenName))
        claims.set("realm.public_key", .bytes(writtenKey))
        let form = profile == nil ? "raw SEC1 point" : "COSE_Key"
        claims.set("realm.public_key_form", .text(form))
        claims.set("realm.initial_measurement", .bytes(initial))
        claims.set("realm.extensible_measurements", .list(extensible.map { .bytes($0) }))
    }
}
