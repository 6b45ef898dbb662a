import Keys
import RATS
import Testing

@testable import Appraisal

/// What servers say at an address of theirs: each formula, and each of its parts made wrong.
struct EndpointTests {
    private static let nonce = [UInt8](repeating: 0x4E, count: 32)
    private static let base = "https://tinfoil.sh/"

    // MARK: Answers

    @Test func anAnswerHasItsLimit() throws {
        let leaf = try FakeLeaf()
        for (more, outcome) in [(0, "endpoint.malformed"), (1, "nothing")] {
            let text = Array("{\"intel_quote\":\"\"}".utf8)
            let left = AttestationEndpoint.maximumAnswer - text.count + more
            let found = try leaf.code { certificate in
                try AttestationEndpoint.near.read(
                    text + [UInt8](repeating: 0x20, count: left), nonce: EndpointTests.nonce,
                    certificate: certificate)
            }
            #expect(found == outcome)
        }
    }

    // MARK: Tinfoil

    private func text(_ bytes: [UInt8]) -> JSONValue { .string(Base64.encode(bytes)) }

    private func tinfoil(_ document: JSONValue, _ leaf: FakeLeaf) throws -> String {
        try leaf.code { certificate in
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
        var format = "predicate/attestation/v3"
        var materialFormat = "crypto-material/v1"
        var devicesFormat = "device-evidence/v1"
        /// In place of the quote, and what its certificates are said to be.
        var snp: FakeSNP?
        var collateralFormat = "collateral/amd-vcek/v1"
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
            let material = section(materialFormat, items)
            let listed = section(devicesFormat, devices)
            let covered = Digest.sha256(
                Array("https://tinfoil.sh/report-data/v1".utf8) + nonce
                    + Digest.sha256(material) + Digest.sha256(listed))
            func text(_ bytes: [UInt8]) -> JSONValue { .string(Base64.encode(bytes)) }
            var report = try FakeQuote(covering: covered).bytes()
            var collateral: [JSONValue] = []
            if var snp {
                snp.set(0x50, covered + [UInt8](repeating: 0, count: 32))
                let fields = try SNPEvidence.fields(try snp.evidence())
                report = fields.report
                let chain = fields.certificates.dropFirst()
                    .map { PEM.encode($0, label: "CERTIFICATE") }.joined()
                collateral = [
                    .members([
                        ("format", .string(base + collateralFormat)),
                        (
                            "data",
                            .members([
                                ("vcek_der_base64", text(fields.certificates[0])),
                                ("cert_chain_pem", .string(chain)),
                            ])
                        ),
                    ])
                ]
            }
            let kind = snp == nil ? "format/tdx-quote/v1" : "format/sev-snp-report/v1"
            return .members([
                ("format", .string(base + format)),
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
                        ("format", .string(base + kind)), ("report_base64", text(report)),
                    ])
                ),
                ("crypto_material", text(sentMaterial ?? material)),
                ("device_evidence", text(sentDevices ?? listed)),
                ("collateral", .array(collateral)),
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
        try check("endpoint.malformed") { $0.format = "predicate/attestation/v4" }
        try check("endpoint.malformed") { $0.materialFormat = "crypto-material/v2" }
        try check("endpoint.malformed") { $0.devicesFormat = "device-evidence/v2" }
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
        // AMD's certificates come beside the report, each under its own name.
        let snp = try FakeSNP()
        try check("bound") { $0.snp = snp }
        try check("snp.key.missing") {
            $0.snp = snp
            $0.collateralFormat = "collateral/amd-vlek/v1"
        }
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
        let found = try leaf.code { certificate in
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
        try near("bound") { $0.log = .string("") }
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
        try near("bound") { $0.payload = .string("") }
        let most = [JSONValue](repeating: good, count: ForeignDevices.maxDevices)
        try near("bound") { $0.payload = payload(most, nonce) }
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
        func document(_ devices: [JSONValue]) throws -> JSONValue {
            var version = Version3(key: Digest.sha256(leaf.key.spki))
            version.devices = devices
            return try version.document()
        }
        func check(_ code: String, _ devices: [JSONValue]) throws {
            #expect(try tinfoil(document(devices), leaf) == code)
        }
        let nonce = EndpointTests.nonce
        let known = item(try gpu(nonce, said: nonce))
        let unread = item(.null, format: "nvidia-nvswitch-evidence/v1")
        try check("bound", [known])
        try check("bound", [unread])
        for (devices, gaps) in [([known], 0), ([unread], 1), ([known, unread], 1)] {
            let carried = try AttestationEndpoint.tinfoil.read(
                Array(try document(devices).serialised().utf8), nonce: nonce,
                certificate: try leaf.certificate([]))
            #expect(carried?.gaps.count == gaps)
        }
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
