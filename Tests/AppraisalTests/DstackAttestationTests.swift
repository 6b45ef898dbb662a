import Keys
import RATS
import Testing

@testable import Appraisal

/// dstack's attestations in both encodings, and what is refused of them.
struct DstackAttestationTests {
    private static let identifier = "1.3.6.1.4.1.62397.1.8"

    /// An attestation of one test, before it is encoded.
    private struct Fake {
        var quote: FakeQuote
        var reportData: [UInt8]
        var events: [(name: String, payload: [UInt8])] = [
            ("app-id", [1, 2, 3]), ("compose-hash", [UInt8](repeating: 7, count: 32)),
            ("a\"\\\n\u{1}é", []),
        ]
        var digests: [[UInt8]?] = [nil, nil, nil]
        var version: UInt8 = 1
        var listed: [(name: String, payload: [UInt8])]?
        var wire: UInt8 = 1
        var stackKind = "dstack"
        /// Google's vTPM quote, which only SCALE has with the TDX quote.
        var tpmQuote: [UInt8]?
        var config = "{}"

        init(_ leaf: FakeLeaf) throws {
            reportData = Digest.sha512(Array("ratls-cert:".utf8) + leaf.key.spki)
            quote = try FakeQuote(covering: reportData)
        }

        /// RTMR3 as these events leave it.
        mutating func extend() {
            var value = [UInt8](repeating: 0, count: 48)
            for (name, payload) in events {
                value = Digest.sha384(value + digest(name, payload))
            }
            quote.registers[3] = value
        }

        func digest(_ name: String, _ payload: [UInt8]) -> [UInt8] {
            guard version == 2 else {
                return Digest.sha384(
                    [1, 0, 0, 8] + Array(":".utf8) + Array(name.utf8) + Array(":".utf8) + payload)
            }
            let escaped = ["a\"\\\n\u{1}é": "a\\\"\\\\\\n\\u0001é"][name] ?? name
            let json = "{\"name\":\"\(escaped)\",\"payload\":\"\(Hex.encode(payload))\","
            return Digest.sha384(Array((json + "\"type\":134217729}").utf8))
        }

        func scale() throws -> [UInt8] {
            let log = events.enumerated().map { index, event in
                [3, 0, 0, 0, 1, 0, 0, 8] + Pack.scale(digests[index] ?? [])
                    + Pack.scale(Array(event.name.utf8)) + Pack.scale(event.payload)
            }
            let own = (listed ?? events).map {
                Pack.scale(Array($0.name.utf8)) + Pack.scale($0.payload)
            }
            return [0, tpmQuote == nil ? 0 : 1] + Pack.scale(try quote.bytes())
                + Pack.scale(items: log) + (tpmQuote ?? []) + Pack.scale(items: own) + reportData
                + Pack.scale(Array(config.utf8))
        }

        func messagePack() throws -> [UInt8] {
            let version = self.version == 1 ? [] : [("version", Pack.number(self.version))]
            let log = events.enumerated().map { index, event in
                Pack.map(
                    [
                        ("imr", [3]), ("event_type", [0xCE, 8, 0, 0, 1]),
                        ("digest", Pack.binary(digests[index] ?? [])),
                        ("event", Pack.text(event.name)),
                        ("event_payload", Pack.binary(event.payload)),
                    ] + version)
            }
            let own = (listed ?? events).map {
                Pack.map(
                    [("event", Pack.text($0.name)), ("payload", Pack.binary($0.payload))] + version)
            }
            let platform = Pack.map([
                ("quote", Pack.numbers(try quote.bytes())), ("event_log", Pack.array(log)),
            ])
            let stack = Pack.map([
                ("report_data", Pack.numbers(reportData)), ("runtime_events", Pack.array(own)),
                ("config", Pack.text(config)),
            ])
            return Pack.map([
                ("version", [wire]),
                (
                    "platform",
                    Pack.map([
                        ("kind", Pack.text(tpmQuote == nil ? "tdx" : "gcp-tdx")),
                        ("data", platform),
                    ])
                ),
                ("stack", Pack.map([("kind", Pack.text(stackKind)), ("data", stack)])),
            ])
        }
    }

    private func code(_ leaf: FakeLeaf, _ bytes: [UInt8]) throws -> String {
        try leaf.code([(DstackAttestationTests.identifier, DER.octetString(bytes))])
    }

    private func check(_ code: String, _ change: (inout Fake) throws -> Void) throws {
        let leaf = try FakeLeaf()
        var fake = try Fake(leaf)
        fake.extend()
        try change(&fake)
        // SCALE carries events of version 1 alone.
        if fake.version == 1, fake.wire == 1 {
            #expect(try self.code(leaf, try fake.scale()) == code)
        }
        #expect(try self.code(leaf, try fake.messagePack()) == code)
    }

    @Test func bothEncodingsAreRead() throws {
        try check("bound") { _ in }
        try check("bound") {
            $0.version = 2
            $0.extend()
        }
        try check("bound") { fake in
            fake.digests = fake.events.map { fake.digest($0.name, $0.payload) }
        }
        let leaf = try FakeLeaf()
        var fake = try Fake(leaf)
        fake.extend()
        let certificate = try leaf.certificate([
            (DstackAttestationTests.identifier, DER.octetString(try fake.scale()))
        ])
        let carried = try AttestedLeaf(certificate, now: FakeLeaf.now).carried[0]
        #expect(carried.dialect == .dstackVersioned)
        #expect(carried.events["event_log.rtmr3"]?.shown.contains("app-id 010203") == true)
    }

    @Test func anotherKeyIsRefused() throws {
        let other = try FakeLeaf()
        try check("certificate.binding.key") {
            $0.quote.reportData = try Fake(other).reportData
        }
        // The copy beside the quote is not what counts, and still has to agree.
        try check("certificate.binding.key") { $0.reportData[0] ^= 1 }
    }

    @Test func aLogOfOtherEventsIsRefused() throws {
        try check("dstack.event_log.register") { $0.quote.registers[3][0] ^= 1 }
        try check("dstack.event_log.register") { $0.events[1].payload[0] ^= 1 }
        try check("dstack.event_log.register") { $0.events[0].name = "app-ie" }
        try check("dstack.event_log.register") { $0.events.swapAt(0, 1) }
        try check("dstack.event_log.register") { $0.events.removeLast() }
        try check("dstack.event_log.register") { $0.listed = [("app-id", [9])] }
        try check("dstack.event_log.malformed") {
            $0.digests[1] = [UInt8](repeating: 1, count: 48)
        }
        try check("dstack.event_log.malformed") { $0.version = 3 }
    }

    @Test func anotherVersionOrShapeIsRefused() throws {
        let leaf = try FakeLeaf()
        var fake = try Fake(leaf)
        fake.extend()
        let (scale, pack) = (try fake.scale(), try fake.messagePack())
        try check("certificate.malformed") { $0.wire = 2 }
        try check("certificate.malformed") { $0.reportData.removeLast() }
        fake.stackKind = "another"
        #expect(try code(leaf, try fake.messagePack()) == "certificate.malformed")
        var bad = [[], [1], scale + [0], pack + [0], Array(scale.dropLast()), [0xC0], [2] + scale]
        bad += [Array(pack.dropLast()), [0, 9] + scale.dropFirst(2)]
        for (index, bytes) in bad.enumerated() {
            #expect(try code(leaf, bytes) == "certificate.malformed", "case \(index)")
        }
        // AWS's NitroTPM is known, and read by nothing here.
        let tail = Pack.scale(items: []) + fake.reportData + Pack.scale([])
        #expect(
            try code(leaf, [0, 4] + Pack.scale([1]) + tail) == "certificate.dialect.unread")
    }

    /// The parts of a vTPM quote are passed over, none of them taken for another.
    @Test func aQuoteMayHaveAVTPMsBeside() throws {
        let value = [9, 8, 7, 6] + Pack.scale(Array("sha256".utf8)) + Pack.scale([5, 4, 3])
        let event = [5, 6, 7, 8] + Pack.scale([0xFF, 0xFE])
        func quote(values: Int) -> [UInt8] {
            Pack.scale([0xFB, 0xFB, 0xFB]) + Pack.scale([0xFA, 0xFA])
                + Pack.scale(items: [[UInt8]](repeating: value, count: values))
                + Pack.scale([0xF9]) + [0xF8] + Pack.scale(items: [event, event, event])
        }
        try check("bound") { $0.tpmQuote = quote(values: 2) }
        // 24 registers in each of four banks.
        try check("bound") { $0.tpmQuote = quote(values: 96) }
        let leaf = try FakeLeaf()
        var fake = try Fake(leaf)
        fake.extend()
        for (tpmQuote, gaps) in [(nil, 0), (quote(values: 2), 1)] {
            fake.tpmQuote = tpmQuote
            let certificate = try leaf.certificate([
                (DstackAttestationTests.identifier, DER.octetString(try fake.scale()))
            ])
            #expect(try AttestedLeaf(certificate, now: FakeLeaf.now).carried[0].gaps.count == gaps)
        }
        let scale = try fake.scale()
        // The last one ends where its values are refused, and what follows would be read.
        fake.config = String(repeating: " ", count: 97)
        let cut = Pack.scale([0xFB]) + Pack.scale([0xFA]) + Pack.length(97)
        for bad in [quote(values: 97), Array(quote(values: 2).dropLast()), cut] {
            fake.tpmQuote = bad
            #expect(try code(leaf, try fake.scale()) == "certificate.malformed")
        }
        #expect(try code(leaf, Array(scale.dropLast())) == "certificate.malformed")
    }

    @Test func nothingIsReadPastItsLimits() throws {
        let leaf = try FakeLeaf()
        func isRead(_ change: (inout Fake) -> Void) throws -> [Bool] {
            var fake = try Fake(leaf)
            change(&fake)
            return [try fake.scale(), try fake.messagePack()]
                .map { (try? DstackAttestation($0)) != nil }
        }
        let most = DstackEventLog.maxEvents
        for (count, expected) in [(most, true), (most + 1, false)] {
            let events = (0..<count).map { _ in (name: "e", payload: [UInt8]()) }
            #expect(try isRead { $0.listed = events } == [expected, expected])
            let found = try isRead {
                $0.listed = []
                $0.events = events
                $0.digests = events.map { _ in nil }
            }
            #expect(found == [expected, expected])
        }
        var fake = try Fake(leaf)
        fake.config = String(repeating: " ", count: 16_384)
        let left = 256 * 1024 - (try fake.scale()).count
        for (more, expected) in [(0, true), (1, false)] {
            fake.config = String(repeating: " ", count: 16_384 + left + more)
            #expect(((try? DstackAttestation(try fake.scale())) != nil) == expected)
        }
    }

    @Test func reportsHaveAFewCertificates() throws {
        func platform(_ count: Int) -> [[UInt8]] {
            let certificates = [[UInt8]](repeating: [0x30, 1], count: count)
            let reportData = [UInt8](repeating: 1, count: 64)
            let scale =
                [0, 3] + Pack.scale([7]) + Pack.scale(items: certificates.map { Pack.scale($0) })
                + Pack.scale([]) + Pack.scale(items: []) + reportData + Pack.scale([])
            let platform = Pack.map([
                ("report", Pack.binary([7])),
                ("cert_chain", Pack.array(certificates.map { Pack.binary($0) })),
            ])
            let stack = Pack.map([
                ("report_data", Pack.numbers(reportData)), ("runtime_events", Pack.array([])),
            ])
            return [
                scale,
                Pack.map([
                    ("version", [1]),
                    ("platform", Pack.map([("kind", Pack.text("sev-snp")), ("data", platform)])),
                    ("stack", Pack.map([("kind", Pack.text("dstack")), ("data", stack)])),
                ]),
            ]
        }
        for bytes in platform(12) {
            guard case .report([7], let certificates) = try DstackAttestation(bytes).platform
            else {
                Issue.record("no report")
                continue
            }
            #expect(certificates.count == 12)
        }
        for bytes in platform(13) { #expect(throws: Refusal.self) { try DstackAttestation(bytes) } }
    }

    @Test func reportsAndDocumentsAreReadToo() throws {
        let leaf = try FakeLeaf()
        let reportData = try Fake(leaf).reportData
        var snp = try FakeSNP()
        snp.set(0x50, reportData)
        let fields = try SNPEvidence.fields(try snp.evidence())
        let tail = Pack.scale(items: []) + reportData + Pack.scale([])
        let chain = Pack.scale(items: fields.certificates.map { Pack.scale($0) })
        let report = [0, 3] + Pack.scale(fields.report) + chain + Pack.scale([]) + tail
        #expect(try code(leaf, report) == "bound")
        var nitro = try FakeNitro()
        nitro.set("user_data", .bytes(reportData))
        let document = try nitro.evidence(root: try nitro.rootCertificate())
        #expect(try code(leaf, [0, 2] + Pack.scale(document) + tail) == "bound")
        #expect(
            try code(try FakeLeaf(), [0, 2] + Pack.scale(document) + tail)
                == "certificate.binding.key")
        #expect(try code(try FakeLeaf(), report) == "certificate.binding.key")
    }

    @Test func theOlderFormHasItsLogChecked() throws {
        let leaf = try FakeLeaf()
        var fake = try Fake(leaf)
        fake.extend()
        let firmware = [UInt8](repeating: 5, count: 48)
        fake.quote.registers[0] = Digest.sha384([UInt8](repeating: 0, count: 48) + firmware)
        let quote = DER.octetString(try fake.quote.bytes())
        func log(_ firmware: [UInt8]) -> String {
            let own = fake.events.map { event in
                "{\"imr\":3,\"event_type\":134217729,\"digest\":\"\","
                    + "\"event\":\(JSONValue.string(event.name).serialised()),"
                    + "\"event_payload\":\"\(Hex.encode(event.payload))\"}"
            }
            let first =
                "{\"imr\":0,\"event_type\":4,\"digest\":\"\(Hex.encode(firmware))\","
                + "\"event\":\"\",\"event_payload\":\"\"}"
            return "[" + ([first] + own).joined(separator: ",") + "]"
        }
        func code(_ text: [UInt8]) throws -> String {
            try leaf.code([
                ("1.3.6.1.4.1.62397.1.1", quote),
                ("1.3.6.1.4.1.62397.1.2", DER.octetString(text)),
            ])
        }
        #expect(try code(Array(log(firmware).utf8)) == "bound")
        let packed = Array("ELGZv1".utf8) + Pack.gzip(Array(log(firmware).utf8))
        #expect(try code(packed) == "bound")
        #expect(try code(packed + [0]) == "dstack.event_log.malformed")
        #expect(try code(Array("[]x".utf8)) == "dstack.event_log.malformed")
        let other = [UInt8](repeating: 6, count: 48)
        #expect(try code(Array(log(other).utf8)) == "dstack.event_log.register")
    }
}
