import Keys
import RATS
import Testing

@testable import Appraisal

struct CCAAppraisalTests {
    private typealias Change = (inout FakeCCA) throws -> Void

    private func code(_ change: Change = { _ in }) throws -> String {
        var realm = try FakeCCA()
        let policy = realm.policy
        try change(&realm)
        return try realm.code(policy)
    }

    private func check(_ changes: [(String, Change)]) throws {
        for (index, (wanted, change)) in changes.enumerated() {
            #expect(try code(change) == wanted, "change \(index)")
        }
    }

    @Test func goodEvidenceIsAdmitted() throws {
        #expect(try code() == "admitted")
        #expect(try code { $0.useCOSEKey() } == "admitted")
        var older = try FakeCCA()
        older.platformKey = try .generate(.p256)
        older.platformHeader = FakeCCA.header(6)
        #expect(try older.code(older.policy) == "admitted")
    }

    @Test func everyLineOfTheTokenHasItsRefusal() throws {
        let short = CBORValue.bytes([1])
        var changes: [Change] = [
            { $0.trailing = [0] }, { $0.tag = 400 }, { $0.envelopeTag = 98 },
            { $0.more = [(1, .null)] }, { $0.open = .map([CBORValue.Entry(.unsigned(4), short)]) },
            { $0.platformHeader = FakeCCA.header(7) }, { $0.realmHeader = [] },
            { $0.platform[265] = .text("http://example.org") },
            { $0.platform[256] = .bytes([UInt8](repeating: 2, count: 33)) },
            { $0.platform[2402] = .text("sha-1") }, { $0.platform[2399] = .array([]) },
            { $0.platform[2399] = .array([.fields([(2, .bytes(FakeCCA.signer))])]) },
            { $0.platform[2399] = .array([.fields([(2, .bytes([1])), (5, .bytes([1]))])]) },
            {
                $0.platform[2399] = .array([
                    .fields([(2, .bytes([1])), (5, .bytes(FakeCCA.signer))])
                ])
            },
            {
                $0.platform[2399] = .array([
                    .fields([(2, .bytes(FakeCCA.signer)), (5, .bytes([1]))])
                ])
            },
            { $0.moreItems = [.null] },
            { $0.platform[2400] = .text("") }, { $0.platform[1] = .null },
            { $0.realm[265] = .text("tag:arm.com,2023:realm#1.0.0") },
            { $0.realm[265] = .text("tag:example.org,2023:realm") },
            { $0.realm[44237] = .bytes([4] + [UInt8](repeating: 1, count: 96)) },
            { $0.realm[44236] = .text("md5") }, { $0.realm[1] = .null },
            { $0.realm[44239] = .array([.bytes(FakeCCA.signer)]) },
            { $0.realm[44239] = .array([short, short, short, short]) },
            {
                $0.useCOSEKey()
                $0.realm[265] = .some(nil)
            },
            {
                $0.useCOSEKey()
                $0.realm[265] = .text("tag:example.org,2023:realm")
            },
            { $0.useCOSEKey(type: 3) }, { $0.useCOSEKey(curve: 1) }, { $0.useCOSEKey(x: [0]) },
            { $0.useCOSEKey(y: [0]) },
            { $0.useCOSEKey(more: [CBORValue.Entry(.unsigned(3), .negative(34))]) },
            { $0.realm[44237] = .bytes([4]) },
            { $0.realm[44237] = .bytes([5] + $0.realmKey.spki.suffix(96)) },
            { $0.realm[44237] = .bytes($0.realmKey.spki.suffix(97) + [0]) },
            { $0.sentKey = [1] },
            { $0.platform[2401] = .bytes([UInt8](repeating: 0, count: 9999)) },
            { $0.platform[2401] = .bytes([UInt8](repeating: 0, count: 20000)) },
        ]
        for key: UInt64 in [265, 256, 2395, 2396, 2399, 2401, 2402] {
            changes.append { $0.platform[key] = .some(nil) }
        }
        for key: UInt64 in [10, 44235, 44236, 44237, 44238, 44239, 44240] {
            changes.append { $0.realm[key] = .some(nil) }
        }
        for key: UInt64 in [10, 2396] { changes.append { $0.platform[key] = short } }
        for key: UInt64 in [10, 44235, 44238] { changes.append { $0.realm[key] = short } }
        try check(changes.map { ("cca.malformed", $0) })
    }

    /// A coordinate that begins with a zero is written with it.
    @Test func coordinatesAreWrittenInFull() throws {
        for start in [0, 48] {
            var key = try PrivateKey.generate(.p384)
            while key.spki.suffix(96)[key.spki.count - 96 + start] != 0 {
                key = try PrivateKey.generate(.p384)
            }
            func outcome(_ cut: Int) throws -> String {
                try code { fake in
                    fake.realmKey = key
                    let point = Array(key.spki.suffix(96))
                    var halves = [Array(point[..<48]), Array(point[48...])]
                    halves[start / 48].removeFirst(cut)
                    fake.realm[265] = .text("tag:arm.com,2023:realm#1.0.0")
                    fake.realm[44237] = .bytes(
                        CBORValue.map([
                            .init(.unsigned(1), .unsigned(2)), .init(.negative(0), .unsigned(2)),
                            .init(.negative(1), .bytes(halves[0])),
                            .init(.negative(2), .bytes(halves[1])),
                        ]).encoded())
                }
            }
            #expect(try outcome(0) == "admitted")
            #expect(try outcome(1) == "cca.malformed")
        }
    }

    /// Sixty components with versions as long as it takes.
    @Test func aTokenHasItsLargestSize() throws {
        func outcome(_ more: Int) throws -> String {
            try code { fake in
                func components(_ last: Int) -> CBORValue {
                    .array(
                        (0..<60).map { index in
                            .fields([
                                (2, .bytes(FakeCCA.measurement)),
                                (
                                    4,
                                    .text(String(repeating: "v", count: index == 59 ? last : 180))
                                ), (5, .bytes(FakeCCA.signer)),
                            ])
                        })
                }
                fake.platform[2399] = components(300)
                let size = try fake.token().count
                fake.platform[2399] = components(300 + CCAToken.maxSize - size + more)
                let found = try fake.token().count
                #expect(found == CCAToken.maxSize + more)
            }
        }
        #expect(try outcome(0) == "admitted")
        #expect(try outcome(1) == "cca.malformed")
    }

    @Test func theTokensHangTogether() throws {
        let other = try PrivateKey.generate(.p384)
        try check([
            ("cca.challenge.mismatch", { $0.realm[10] = .bytes([UInt8](repeating: 2, count: 64)) }),
            ("cca.platform.signature", { $0.platformSigner = other }),
            ("cca.platform.signature", { $0.tampersPlatform = true }),
            ("cca.platform.signature", { $0.sentKey = other.spki }),
            ("cca.platform.signature", { $0.platformHeader = FakeCCA.header(6) }),
            (
                "cca.platform.signature",
                {
                    $0.platformHeader = FakeCCA.header(6)
                    $0.digest = .sha256
                }
            ),
            ("cca.realm.signature", { $0.realmSigner = other }),
            ("cca.realm.signature", { $0.tampersRealm = true }),
            ("cca.realm.signature", { $0.realmHeader = FakeCCA.header(6) }),
            ("cca.realm.key", { $0.platform[10] = .bytes([UInt8](repeating: 2, count: 32)) }),
            ("cca.realm.key", { $0.realm[44240] = .text("sha-512") }),
        ])
        for lifecycle: UInt64 in [0, 0x2FFF, 0x3100, 0x4000, 0x5000, 0x6000, .max] {
            #expect(try code { $0.platform[2395] = .unsigned(lifecycle) } == "cca.lifecycle")
        }
        #expect(try code { $0.platform[2395] = .unsigned(0x30FF) } == "admitted")
    }

    @Test func everyLineOfThePolicyHasItsRefusal() throws {
        let realm = try FakeCCA()
        let good = realm.policy
        let nothing = ReferenceValue.oneOf([])
        func policy(
            keys: [[UInt8]]? = nil, implementation: ReferenceValue = .any,
            instance: ReferenceValue = .any, initial: ReferenceValue = .any,
            extensible: [ReferenceValue] = [.any, .any, .any, .any],
            personalization: ReferenceValue = .any, software: CCAPolicy.Software = .any
        ) -> CCAPolicy {
            CCAPolicy(
                platformKeys: keys ?? good.platformKeys, implementationID: implementation,
                instanceID: instance, initial: initial, extensible: extensible,
                personalization: personalization, software: software)
        }
        let known = CCAPolicy.Component(signer: FakeCCA.signer, measurement: FakeCCA.measurement)
        let other = CCAPolicy.Component(signer: FakeCCA.measurement, measurement: FakeCCA.signer)
        let last: [ReferenceValue] = [.any, .any, .any, nothing]
        let cases: [(String, CCAPolicy?)] = [
            ("policy.cca.missing", nil), ("cca.cpak.unknown", policy(keys: [])),
            ("cca.cpak.unknown", policy(keys: [FakeCCA.signer])),
            ("cca.implementation_id", policy(implementation: nothing)),
            ("cca.instance_id", policy(instance: nothing)), ("cca.rim", policy(initial: nothing)),
            ("cca.rem", policy(extensible: last)), ("cca.rem", policy(extensible: [.any])),
            ("cca.rpv", policy(personalization: nothing)),
            ("cca.software", policy(software: .oneOf([]))),
            ("cca.software", policy(software: .oneOf([other]))),
            ("admitted", policy(software: .oneOf([other, known]))),
        ]
        for (wanted, policy) in cases { #expect(try realm.code(policy) == wanted) }
    }
}

/// Tokens of emulated and synthetic machines, from the shared vectors.
struct CCAVectorTests {
    private let reasons = [
        "bug33-unbound": "cca.realm.key",
        "neg-implementation-id-bit": "cca.platform.signature",
        "neg-personalization-bit": "cca.realm.signature",
        "neg-wrong-platform-key": "cca.platform.signature",
    ]

    private func claims(_ vector: RealVector) throws -> Claims {
        let pem = try #require(vector.file("cpak.pub.pem"))
        return try CCAVerification.claims(
            token: try #require(vector.file("cca-token.cbor")),
            platformKey: PublicKey(pem: String(decoding: pem, as: UTF8.self)))
    }

    @Test func everyTokenIsVerifiedAsItShouldBe() throws {
        for vector in try RealVector.all("cca") {
            guard vector.isGood else {
                let refusal = #expect(throws: Refusal.self) { try self.claims(vector) }
                #expect(refusal?.code == reasons[vector.name], "\(vector.name)")
                continue
            }
            let claims = try self.claims(vector)
            // 8 of the platform and 9 of the realm at least; the components follow.
            var others = Claims()
            for claim in claims.entries where claim.name != "platform.sw_components" {
                others.set(claim.name, claim.value)
            }
            let count = vector.compare(others)
            #expect(count >= 16, "\(vector.name)")
            let wanted = vector.description["claims"]
            let parts = wanted?["platform"]?["sw_components"]?.items ?? []
            guard case .list(let components) = claims["platform.sw_components"] else {
                Issue.record("\(vector.name): no components")
                continue
            }
            #expect(components.count == parts.count, "\(vector.name)")
            for case (.group(let component), let part) in zip(components, parts) {
                for member in part.members ?? [] {
                    #expect(component[member.name]?.json == member.value, "\(vector.name)")
                }
            }
            for token in ["platform", "realm"] {
                let algorithm = wanted?[token]?["cose_alg"]?.integer == -7 ? "ES256" : "ES384"
                #expect(claims["\(token).signature_algorithm"] == .text(algorithm))
            }
        }
    }
}
