import Keys
import RATS

@testable import Appraisal

/// A realm on a machine with a platform key of its own, to be changed one thing at a time.
struct FakeCCA {
    var platformKey, realmKey: PrivateKey
    var platformSigner, realmSigner: PrivateKey?
    var platform: [UInt64: CBORValue?]
    var realm: [UInt64: CBORValue?]
    var platformHeader = FakeCCA.header(34)
    var realmHeader = FakeCCA.header(34)
    var open = CBORValue.map([])
    var tag: UInt64 = 399
    var envelopeTag: UInt64 = 18
    var more: [(UInt64, CBORValue)] = []
    var trailing: [UInt8] = []
    /// Changed after signing.
    var tampersPlatform = false
    var tampersRealm = false
    var sentKey: [UInt8]?
    /// In place of the hash that goes with the key; and items behind the signature.
    var digest: Digest?
    var moreItems: [CBORValue] = []

    static let challenge = [UInt8](repeating: 1, count: 64)
    static let signer = [UInt8](repeating: 6, count: 32)
    static let measurement = [UInt8](repeating: 7, count: 32)

    static func header(_ algorithm: UInt64) -> [UInt8] {
        CBORValue.map([.init(.unsigned(1), .negative(algorithm))]).encoded()
    }

    init() throws {
        platformKey = try .generate(.p384)
        realmKey = try .generate(.p384)
        platform = [
            265: .text("http://arm.com/CCA-SSD/1.0.0"),
            2396: .bytes([UInt8](repeating: 2, count: 32)),
            256: .bytes([1] + [UInt8](repeating: 3, count: 32)), 2401: .bytes([4]),
            2395: .unsigned(0x3003), 2402: .text("sha-256"),
            2399: .array([
                .fields([
                    (1, .text("BL")), (2, .bytes(FakeCCA.measurement)),
                    (5, .bytes(FakeCCA.signer)),
                ])
            ]),
        ]
        let register = CBORValue.bytes([UInt8](repeating: 9, count: 32))
        realm = [
            10: .bytes(FakeCCA.challenge), 44235: .bytes([UInt8](repeating: 5, count: 64)),
            44236: .text("sha-256"), 44240: .text("sha-256"),
            44237: .bytes(Array(realmKey.spki.suffix(97))),
            44238: .bytes([UInt8](repeating: 8, count: 32)),
            44239: .array([register, register, register, register]),
        ]
    }

    /// The key as COSE writes it, with the profile that goes with it.
    mutating func useCOSEKey(
        type: UInt64 = 2, curve: UInt64 = 2, x: [UInt8] = [], y: [UInt8] = [],
        more: [CBORValue.Entry] = []
    ) {
        let point = Array(realmKey.spki.suffix(96))
        realm[265] = .text("tag:arm.com,2023:realm#1.0.0")
        realm[44237] = .bytes(
            CBORValue.map(
                [
                    .init(.unsigned(1), .unsigned(type)), .init(.negative(0), .unsigned(curve)),
                    .init(.negative(1), .bytes(x + Array(point[..<48]))),
                    .init(.negative(2), .bytes(y + Array(point[48...]))),
                ] + more
            ).encoded())
    }

    func token() throws -> [UInt8] {
        var platform = platform
        if platform[10] == nil, let key = realm[44237]??.byteString {
            platform[10] = .bytes(Digest.sha256(key))
        }
        let first = try envelope(
            platform, platformHeader, platformSigner ?? platformKey, tampersPlatform)
        let second = try envelope(realm, realmHeader, realmSigner ?? realmKey, tampersRealm)
        return CBORValue.tagged(
            tag, .fields([(44234, .bytes(first)), (44241, .bytes(second))] + more)
        ).encoded() + trailing
    }

    private func envelope(
        _ claims: [UInt64: CBORValue?], _ header: [UInt8], _ key: PrivateKey, _ tampers: Bool
    ) throws -> [UInt8] {
        var payload = CBORValue.fields(claims.map { ($0.key, $0.value) }).encoded()
        let text = CBORValue.array([
            .text("Signature1"), .bytes(header), .bytes([]), .bytes(payload),
        ])
        let digest = self.digest ?? (key.publicKey.algorithm == .p256 ? .sha256 : .sha384)
        let signature = try key.signRaw(text.encoded(), digest: digest)
        // A byte of the implementation id, or of the initial measurement.
        if tampers {
            let isRun = { (place: Int) in
                [2, 8].contains(payload[place]) && Set(payload[place..<place + 16]).count == 1
            }
            if let place = (0..<payload.count - 16).first(where: isRun) { payload[place] ^= 0x40 }
        }
        return CBORValue.tagged(
            envelopeTag,
            .array([.bytes(header), open, .bytes(payload), .bytes(signature)] + moreItems)
        ).encoded()
    }

    var policy: CCAPolicy {
        CCAPolicy(
            platformKeys: [Digest.sha256(platformKey.spki)], implementationID: .any,
            instanceID: .any, initial: .any, extensible: [.any, .any, .any, .any],
            personalization: .any, software: .any)
    }

    /// The code of the refusal, or `admitted`.
    func code(_ policy: CCAPolicy?) throws -> String {
        let body = CBORValue.fields([
            (1, .bytes(try token())), (2, .bytes(sentKey ?? platformKey.spki)),
        ])
        let peer = PeerPolicy(
            name: "realm", tier: .session, maxAge: 300, require: [.cca: 1], tpm: nil, cca: policy,
            simulated: false, configuration: [])
        do throws(Refusal) {
            _ = try Appraiser.appraise(
                Appraiser.Submission(
                    evidence: [Evidence(.cca, bytes: body.encoded())], endorsements: [],
                    configuration: Array("{}".utf8)),
                expected: Appraiser.ExpectedBinding(
                    reportData: FakeCCA.challenge,
                    tpmQualifyingData: [UInt8](repeating: 0, count: 32)),
                policy: AppraisalPolicy(mode: .enforce, peers: .appraised([peer]), digest: []),
                now: FakePKI.now)
            return "admitted"
        } catch {
            return error.code
        }
    }
}
