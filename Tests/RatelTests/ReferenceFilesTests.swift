import Appraisal
import Keys
import RATS
import Ratel
import Testing

/// Reference Values that stand in a manifest: each reason not to take one by its own refusal.
struct ReferenceFilesTests {
    private static let now: Int64 = 1_800_000_000
    private static let value = [UInt8](repeating: 7, count: 48)

    /// A manifest of our own, to be changed.
    private struct Maker {
        let key: PrivateKey
        var algorithm = CBORValue.negative(6)
        var type = "application/rim+cbor"
        var measurement = "rtmr1"
        var model = "guest"
        var validity: [(UInt64, CBORValue?)] = [
            (0, .tagged(1, .unsigned(1_700_000_000))), (1, .tagged(1, .unsigned(1_900_000_000))),
        ]
        var isSigned = true
        var digest = ReferenceFilesTests.value

        init() throws { key = try PrivateKey.generate() }

        private func fields(_ pairs: [(UInt64, CBORValue)]) -> CBORValue {
            .fields(pairs.map { ($0.0, $0.1) })
        }

        func bytes() throws -> [UInt8] {
            func measurement(_ name: String, _ digest: [UInt8]) -> CBORValue {
                let digests = CBORValue.array([.array([.unsigned(7), .bytes(digest)])])
                let values = fields([(2, digests)])
                return fields([(0, .text(name)), (1, values)])
            }
            let kind = fields([(1, .text("maker")), (2, .text(model))])
            let place = fields([(0, kind)])
            let triple = CBORValue.array([
                place,
                .array([
                    measurement(self.measurement, digest),
                    measurement("rtmr2", [UInt8](repeating: 9, count: 48)),
                ]),
            ])
            let identity = fields([(0, .text("x"))])
            let triples = fields([(0, .array([triple]))])
            let module = fields([(1, identity), (4, triples)])
            let tags: [CBORValue] = [
                .tagged(505, .bytes([0])), .tagged(506, .bytes(module.encoded())),
            ]
            let manifest = CBORValue.tagged(
                501, fields([(0, .text("rim")), (1, .array(tags)), (4, .fields(validity))])
            ).encoded()
            guard isSigned else { return manifest }
            let header = fields([(1, algorithm), (3, .text(type))]).encoded()
            let signed = CBORValue.array([
                .text("Signature1"), .bytes(header), .bytes([]), .bytes(manifest),
            ]).encoded()
            return CBORValue.tagged(
                18,
                .array([
                    .bytes(header), .map([]), .bytes(manifest), .bytes(try key.signRaw(signed)),
                ])
            ).encoded()
        }
    }

    private func load(
        keys: String = "[key.pem]", more: String = "", key: PublicKey? = nil,
        _ change: (inout Maker) throws -> Void = { _ in }
    ) throws -> AppraisalPolicy {
        var maker = try Maker()
        try change(&maker)
        let manifest = try maker.bytes()
        let pem = PEM.encode((key ?? maker.key.publicKey).spki, label: "PUBLIC KEY")
        let values = "{corim: rim.cbor, keys: \(keys), measurement: rtmr1\(more)}"
        let text = """
            version: 1
            peers:
              - name: node
                require: {nitro: 1}
                nitro:
                  pcrs: {0: \(values), 1: any, 2: any, 8: any}
                  max_skew: 60s
            """
        return try PolicyLoader.load(bytes: Array(text.utf8), now: ReferenceFilesTests.now) {
            ["rim.cbor": manifest, "key.pem": Array(pem.utf8)][$0]
        }
    }

    private func code(
        keys: String = "[key.pem]", more: String = "", key: PublicKey? = nil,
        _ change: (inout Maker) throws -> Void = { _ in }
    ) throws -> String {
        do {
            _ = try load(keys: keys, more: more, key: key, change)
            return "loaded"
        } catch let refusal as Refusal {
            return refusal.code
        }
    }

    @Test func theValuesStandInPlaceOfAList() throws {
        for policy in [try load(), try load(keys: "any") { $0.isSigned = false }] {
            guard case .appraised(let peers) = policy.peers else {
                Issue.record("no peers")
                continue
            }
            #expect(peers[0].nitro?.pcrs[0] == .oneOf([ReferenceFilesTests.value]))
        }
        #expect(try code(more: ", vendor: maker, model: guest") == "loaded")
        // The digest of the policy covers the manifest.
        let digests = [try load().digest, try load { $0.model = "other" }.digest]
        #expect(digests[0] != digests[1])
    }

    @Test func aManifestThatDoesNotHoldIsRefused() throws {
        let other = try PrivateKey.generate().publicKey
        #expect(try code(key: other) == "policy.corim.signature")
        #expect(try code { $0.isSigned = false } == "policy.corim.signature")
        #expect(try code(keys: "[]") == "policy.corim.signature")
        #expect(try code { $0.algorithm = .unsigned(5) } == "policy.corim.malformed")
        #expect(try code { $0.type = "text/plain" } == "policy.corim.malformed")
        #expect(try code { $0.measurement = "rtmr3" } == "policy.corim.measurement")
        #expect(try code(more: ", model: host") == "policy.corim.measurement")
        #expect(try code(more: ", vendor: nobody") == "policy.corim.measurement")
        #expect(try code(more: ", size: 1") == "policy.key.unknown")
        #expect(try code(keys: "[none.pem]") == "policy.file.unreadable")
        // A value of another length, and one that is no hash worth comparing.
        #expect(
            try code { $0.digest = [UInt8](repeating: 1, count: 32) } == "policy.value.refused")
        #expect(
            try code { $0.digest = [UInt8](repeating: 1, count: 20) } == "policy.corim.measurement")
        #expect(
            try code { $0.validity[1].1 = .tagged(1, .unsigned(1_800_000_000)) }
                == "policy.corim.expired")
        #expect(
            try code { $0.validity[0].1 = .tagged(1, .unsigned(1_800_000_001)) }
                == "policy.corim.expired")
        #expect(try code { $0.validity[1].1 = .unsigned(1) } == "policy.corim.malformed")
        #expect(try code { $0.validity = [] } == "loaded")
    }
}
