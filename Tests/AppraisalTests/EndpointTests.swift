import Keys
import RATS
import Testing

@testable import Appraisal

/// What servers say after the handshake or at an address of theirs: each formula, and each of its
/// parts made wrong.
struct EndpointTests {
    private static let nonce = [UInt8](repeating: 0x4E, count: 32)
    private static let base = "https://tinfoil.sh/"

    /// The code of the refusal, `bound`, or `nothing` where it is another service's.
    private func code(
        _ leaf: FakeLeaf, _ read: (Certificate) throws -> CarriedEvidence?
    ) throws -> String {
        do {
            guard let carried = try read(try leaf.certificate([])) else { return "nothing" }
            _ = try carried.authenticate()
            return carried.coversKey ? "bound" : "unbound"
        } catch let refusal as Refusal {
            return refusal.code
        }
    }

    // MARK: Flashbots

    private func message(
        _ type: String, _ attestation: [UInt8], behind: [UInt8] = []
    ) -> [UInt8] {
        let body = Pack.scale(Array(type.utf8)) + Pack.scale(attestation) + behind
        return (0..<4).map { UInt8(truncatingIfNeeded: body.count >> (24 - 8 * $0)) } + body
    }

    @Test func aMessageIsBoundToKeyAndExporter() throws {
        let (leaf, other) = (try FakeLeaf(), try FakeLeaf())
        let exporter = EndpointTests.nonce
        func code(
            _ bytes: [UInt8], _ binding: [UInt8] = EndpointTests.nonce
        ) throws -> String {
            try self.code(leaf) { certificate in
                try FlashbotsMessage.read(bytes)?.message.carried(certificate, binding: binding)
            }
        }
        func quote(_ key: [UInt8], _ exporter: [UInt8]) throws -> [UInt8] {
            try FakeQuote(covering: Digest.sha256(key) + exporter).bytes()
        }
        let spki = leaf.key.spki, bare = Array(leaf.key.spki.suffix(65))
        for type in ["dcap-tdx", "gcp-tdx", "qemu-tdx"] {
            #expect(try code(message(type, quote(spki, exporter))) == "bound")
        }
        let good = message("dcap-tdx", try quote(bare, exporter))
        #expect(try code(good) == "bound")
        #expect(try code(good, [UInt8](repeating: 0, count: 32)) == "session.binding")
        #expect(try code(good, []) == "session.malformed")
        #expect(try code(message("dcap-tdx", quote(other.key.spki, exporter))) == "session.binding")
        #expect(try code(Array(good.dropLast())) == "nothing")
        #expect(try code(FlashbotsMessage.none) == "session.evidence.none")
        #expect(try code(message("azure-tdx", [1])) == "session.evidence.unread")
        #expect(try code([0, 1, 0, 1]) == "session.malformed")
        let behind = message("dcap-tdx", try quote(spki, exporter), behind: [0])
        #expect(try code(behind) == "session.malformed")
        // What came behind the message is for whoever speaks next.
        #expect(try FlashbotsMessage.read(good + [9, 9])?.consumed == good.count)
        // The later form, `Option` of a quote and its platform, is another protocol's.
        #expect(try code([0, 0, 0, 2, 1, 0]) == "session.malformed")
    }

    // MARK: Tinfoil

    private func text(_ bytes: [UInt8]) -> JSONValue { .string(Base64.encode(bytes)) }

    private func tinfoil(_ document: JSONValue, _ leaf: FakeLeaf) throws -> String {
        try code(leaf) { certificate in
            try AttestationEndpoint.tinfoil.read(
                Array(document.serialised().utf8), nonce: EndpointTests.nonce,
                certificate: certificate)
        }
    }

    @Test func versionTwoCoversKeyAndHPKEKey() throws {
        let leaf = try FakeLeaf()
        func document(
            _ covered: [UInt8], format: String = "predicate/tdx-guest/v2", behind: [UInt8] = []
        ) throws -> JSONValue {
            .members([
                ("format", .string(EndpointTests.base + format)),
                ("body", text(Pack.gzip(try FakeQuote(covering: covered).bytes()) + behind)),
            ])
        }
        let hash = Digest.sha256(leaf.key.spki), hpke = [UInt8](repeating: 9, count: 32)
        #expect(try tinfoil(document(hash + hpke), leaf) == "bound")
        #expect(
            try tinfoil(document(Digest.sha256([1]) + hpke), leaf) == "endpoint.binding.key")
        #expect(try tinfoil(document(hash + hpke, behind: [0]), leaf) == "endpoint.malformed")
        let other = try document(hash + hpke, format: "predicate/tdx-guest/v1")
        #expect(try tinfoil(other, leaf) == "endpoint.malformed")
        #expect(
            try tinfoil(.members([("format", .string("https://other.example/v2"))]), leaf)
                == "nothing")
        #expect(try tinfoil(.array([]), leaf) == "nothing")
    }

    /// A document of version 3, one part of which a test changes.
    private struct Version3 {
        var nonce = EndpointTests.nonce
        var said = EndpointTests.nonce
        var key: [UInt8]
        var identifiers = ["tls"]
        var keyFormat = "key/spki-fp-sha256/v1"
        var algorithm = "report-data/v1"
        var sentMaterial: [UInt8]?
        var sentDevices: [UInt8]?
        var devices: [JSONValue] = []

        func document() throws -> JSONValue {
            let base = EndpointTests.base
            let items = identifiers.map { identifier in
                JSONValue.members([
                    ("id", .string(identifier)), ("format", .string(base + keyFormat)),
                    ("data", .string(Hex.encode(key))),
                ])
            }
            func section(_ name: String, _ items: [JSONValue]) -> [UInt8] {
                Array(
                    JSONValue.members([
                        ("format", .string(base + name)), ("items", .array(items)),
                    ]).serialised().utf8)
            }
            let material = section("crypto-material/v1", items)
            let listed = section("device-evidence/v1", devices)
            let covered = Digest.sha256(
                Array("https://tinfoil.sh/report-data/v1".utf8) + nonce
                    + Digest.sha256(material) + Digest.sha256(listed))
            func text(_ bytes: [UInt8]) -> JSONValue { .string(Base64.encode(bytes)) }
            return .members([
                ("format", .string(base + "predicate/attestation/v3")),
                (
                    "challenge",
                    .members([
                        ("nonce", .string(Hex.encode(said))),
                        ("report_data_algorithm", .string(base + algorithm)),
                    ])
                ),
                (
                    "cpu_evidence",
                    .members([
                        ("format", .string(base + "format/tdx-quote/v1")),
                        ("report_base64", text(try FakeQuote(covering: covered).bytes())),
                    ])
                ),
                ("crypto_material", text(sentMaterial ?? material)),
                ("device_evidence", text(sentDevices ?? listed)), ("collateral", .array([])),
            ])
        }
    }

    @Test func versionThreeCoversNonceAndSections() throws {
        let leaf = try FakeLeaf()
        func check(_ code: String, _ change: (inout Version3) -> Void) throws {
            var version = Version3(key: Digest.sha256(leaf.key.spki))
            change(&version)
            #expect(try tinfoil(version.document(), leaf) == code)
        }
        let other = [UInt8](repeating: 1, count: 32)
        try check("bound") { _ in }
        try check("bound") { $0.identifiers = ["tls", "hpke"] }
        try check("endpoint.nonce") { $0.said = other }
        try check("endpoint.binding.key") { $0.nonce = other }
        try check("endpoint.binding.key") { $0.key = other }
        try check("endpoint.malformed") { $0.algorithm = "report-data/v2" }
        try check("endpoint.malformed") { $0.identifiers = ["tls", "tls"] }
        try check("endpoint.malformed") { $0.identifiers = ["hpke"] }
        try check("endpoint.malformed") { $0.keyFormat = "key/x25519-hpke/v1" }
        // A section that says the same in other bytes is not the one that was covered.
        try check("endpoint.binding.key") {
            let key = Hex.encode($0.key)
            $0.sentMaterial = Array(
                """
                {"format": "https://tinfoil.sh/crypto-material/v1", "items": [{"id": "tls", \
                "format": "https://tinfoil.sh/key/spki-fp-sha256/v1", "data": "\(key)"}]}
                """.utf8)
        }
        try check("endpoint.binding.key") {
            $0.sentDevices = Array(
                "{\"format\": \"https://tinfoil.sh/device-evidence/v1\", \"items\": []}".utf8)
        }
        try check("endpoint.malformed") { $0.sentDevices = [0x7B, 0x7D] }
    }

    // MARK: NEAR AI and Phala

    /// A report of such a proxy, one part of which a test changes.
    private struct Report {
        var address = [UInt8](repeating: 0x11, count: 20)
        var key: [UInt8]
        var nonce = EndpointTests.nonce
        var coversKey = true
        var said: String?
        var payload: JSONValue = .null
        var log: JSONValue = .null
        var register = [UInt8](repeating: 0, count: 48)
        var isWrapped = false

        func document() throws -> JSONValue {
            let padded = address + [UInt8](repeating: 0, count: max(0, 32 - address.count))
            let first = coversKey ? Digest.sha256(address + Digest.sha256(key)) : padded
            var quote = try FakeQuote(covering: Array(first.prefix(32)) + nonce)
            quote.registers[3] = register
            let report = JSONValue.members([
                ("signing_address", .string(said ?? "0x" + Hex.encode(address))),
                ("signing_algo", .string("ecdsa")),
                ("intel_quote", .string(Hex.encode(try quote.bytes()))),
                ("nvidia_payload", payload), ("event_log", log),
            ])
            return isWrapped ? .members([("gateway_attestation", report)]) : report
        }
    }

    private func near(_ code: String, _ change: (inout Report) throws -> Void) throws {
        let leaf = try FakeLeaf()
        var report = Report(key: leaf.key.spki)
        try change(&report)
        let text = Array(try report.document().serialised().utf8)
        let found = try self.code(leaf) { certificate in
            try AttestationEndpoint.near.read(
                text, nonce: EndpointTests.nonce, certificate: certificate)
        }
        #expect(found == code)
    }

    @Test func aReportCoversKeyAndNonce() throws {
        try near("bound") { _ in }
        try near("bound") { $0.isWrapped = true }
        try near("bound") { $0.address = [UInt8](repeating: 2, count: 32) }
        try near("unbound") { $0.coversKey = false }
        try near("endpoint.nonce") { $0.nonce = [UInt8](repeating: 0, count: 32) }
        try near("endpoint.binding.key") { $0.key[60] ^= 1 }
        try near("endpoint.binding.key") { $0.said = "0x" + String(repeating: "22", count: 20) }
        try near("endpoint.malformed") { $0.said = "0x" }
        try near("endpoint.malformed") { $0.said = String(repeating: "22", count: 33) }
        try near("endpoint.malformed") { $0.said = "0xzz" }
    }

    @Test func itsEventLogLeadsToTheRegister() throws {
        let payload = [UInt8]("x".utf8)
        let digest = Digest.sha384([1, 0, 0, 8] + Array(":app-id:".utf8) + payload)
        let register = Digest.sha384([UInt8](repeating: 0, count: 48) + digest)
        let event = JSONValue.members([
            ("imr", .integer(3)), ("event_type", .integer(134_217_729)),
            ("digest", .string(Hex.encode(digest))), ("event", .string("app-id")),
            ("event_payload", .string(Hex.encode(payload))),
        ])
        let list = JSONValue.array([event])
        try near("bound") { ($0.log, $0.register) = (list, register) }
        try near("bound") { ($0.log, $0.register) = (.string(list.serialised()), register) }
        try near("dstack.event_log.register") { $0.log = list }
        try near("dstack.event_log.malformed") { $0.log = .array([.null]) }
        try near("dstack.event_log.malformed") { $0.log = .string("[") }
    }

    // MARK: GPUs

    /// A GPU that was asked with `nonce`, as NVIDIA's tools write it.
    private func gpu(_ nonce: [UInt8], said: [UInt8]? = nil) throws -> JSONValue {
        var gpu = try FakeNVIDIA(FakeNVIDIAMaker())
        gpu.nonce = nonce
        let chain = try gpu.chain().map { PEM.encode($0, label: "CERTIFICATE") }.joined()
        return .members(
            [
                ("certificate", .string(Base64.encode(Array(chain.utf8)))),
                ("evidence", .string(Base64.encode(try gpu.report()))),
            ] + (said.map { [("nonce", .string(Hex.encode($0)))] } ?? []))
    }

    private static let other = [UInt8](repeating: 0, count: 32)

    @Test func itsDevicesCoverTheNonce() throws {
        let nonce = EndpointTests.nonce
        func payload(_ items: [JSONValue], _ said: [UInt8]) -> JSONValue {
            .string(
                JSONValue.members([
                    ("nonce", .string(Hex.encode(said))), ("evidence_list", .array(items)),
                ]).serialised())
        }
        let good = try gpu(nonce)
        try near("bound") { $0.payload = payload([good], nonce) }
        try near("endpoint.nonce") { $0.payload = payload([good], EndpointTests.other) }
        try near("nvidia.nonce.mismatch") {
            $0.payload = payload([try gpu(EndpointTests.other)], nonce)
        }
        try near("endpoint.malformed") { $0.payload = .string("{}") }
        try near("endpoint.malformed") { $0.payload = payload([.null], nonce) }
        try near("endpoint.malformed") {
            $0.payload = payload([JSONValue](repeating: good, count: 17), nonce)
        }
    }

    @Test func devicesUnderVersionThreeCoverTheNonce() throws {
        let leaf = try FakeLeaf()
        func item(_ evidence: JSONValue, format: String = "nvidia-gpu-evidence/v1") -> JSONValue {
            .members([
                ("id", .string("gpu0")), ("kind", .string("gpu")), ("vendor", .string("nvidia")),
                ("format", .string(EndpointTests.base + "format/" + format)),
                ("evidence", evidence),
            ])
        }
        func check(_ code: String, _ devices: [JSONValue]) throws {
            var version = Version3(key: Digest.sha256(leaf.key.spki))
            version.devices = devices
            #expect(try tinfoil(version.document(), leaf) == code)
        }
        let nonce = EndpointTests.nonce
        try check("bound", [item(try gpu(nonce, said: nonce))])
        try check("bound", [item(.null, format: "nvidia-nvswitch-evidence/v1")])
        try check("endpoint.nonce", [item(try gpu(nonce, said: EndpointTests.other))])
        try check("nvidia.nonce.mismatch", [item(try gpu(EndpointTests.other, said: nonce))])
        try check("endpoint.malformed", [item(.null)])
    }

    /// What covers no key of the connection meets no policy.
    @Test func aKeyOfAnswersMeetsNoPolicy() throws {
        let leaf = try FakeLeaf()
        var report = Report(key: leaf.key.spki)
        report.coversKey = false
        let carried = try AttestationEndpoint.near.read(
            Array(try report.document().serialised().utf8), nonce: EndpointTests.nonce,
            certificate: try leaf.certificate([]))
        let required = try #require(carried)
        let policy = AppraisalPolicy(mode: .enforce, peers: .appraised([]), digest: [])
        do throws(Refusal) {
            _ = try required.appraise(policy, tier: .none, now: FakeLeaf.now)
            Issue.record("admitted")
        } catch {
            #expect(error.code == "endpoint.binding.key")
        }
    }
}
