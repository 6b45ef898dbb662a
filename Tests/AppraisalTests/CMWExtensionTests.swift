import Attestation
import Keys
import RATS
import Testing

@testable import Appraisal

/// id-pe-cmw in its forms, with Evidence of each kind, and what is refused of it.
struct CMWExtensionTests {
    private static let identifier = "1.3.6.1.5.5.7.1.35"

    private func octets(_ value: CBORValue) -> [(String, [UInt8])] {
        [(CMWExtensionTests.identifier, DER.octetString(value.encoded()))]
    }

    private func text(_ json: String) -> [(String, [UInt8])] {
        [(CMWExtensionTests.identifier, DER.tagged(0x0C, Array(json.utf8)))]
    }

    private func record(
        _ evidence: Evidence, indicator: UInt64? = 4, type: String? = nil
    ) -> CBORValue {
        .array(
            [.text(type ?? evidence.mediaType), .bytes(evidence.bytes)]
                + (indicator.map { [.unsigned($0)] } ?? []))
    }

    private func evidence(_ leaf: FakeLeaf) throws -> [Evidence] {
        let challenge = StaticBinding(spki: leaf.key.spki).challenge
        var nitro = try FakeNitro()
        nitro.set("user_data", .bytes(challenge.reportData([])))
        nitro.set("nonce", .null)
        nitro.set("public_key", .null)
        var snp = try FakeSNP()
        snp.set(0x50, challenge.reportData([]))
        var cca = try FakeCCA()
        cca.realm[10] = .bytes(challenge.reportData([]))
        let realm = CBORValue.fields([
            (1, .bytes(try cca.token())), (2, .bytes(cca.platformKey.spki)),
        ])
        let tpm = try FakeTPM(qualifyingData: challenge.tpmQualifyingData)
        return [
            Evidence(.tdx, bytes: try FakeQuote(covering: challenge.reportData([])).bytes()),
            Evidence(.snp, bytes: try snp.evidence()),
            Evidence(.nitro, bytes: try nitro.evidence(root: try nitro.rootCertificate())),
            try tpm.evidence(),
        ] + (try SimulatedAttester().quote(challenge)) + [Evidence(.cca, bytes: realm.encoded())]
    }

    /// A device says nothing of the machine that it is in, and so stands beside a CPU.
    @Test func devicesStandBesideTheirMachine() throws {
        let leaf = try FakeLeaf()
        let challenge = StaticBinding(spki: leaf.key.spki).challenge
        var gpu = try FakeNVIDIA(FakeNVIDIAMaker())
        let quote = try evidence(leaf)[0]
        func code(_ index: UInt32, as label: UInt32) throws -> String {
            gpu.nonce = challenge.gpuNonce(index)
            return try leaf.code(
                octets(
                    .named([
                        ("1.0", record(quote)), ("2.\(label)", record(try gpu.evidence())),
                    ])))
        }
        #expect(try code(0, as: 0) == "bound")
        #expect(try code(1, as: 0) == "nvidia.nonce.mismatch")
        #expect(try code(1, as: 1) == "nvidia.index.refused")
    }

    @Test func everyKindIsReadInEveryForm() throws {
        let leaf = try FakeLeaf()
        for item in try evidence(leaf) {
            let label = "\(item.kind.rawValue).0"
            #expect(try leaf.code(octets(record(item))) == "bound", "\(item.kind)")
            #expect(try leaf.code(octets(record(item, indicator: nil))) == "bound")
            let collection = CBORValue.named([(label, record(item))])
            #expect(try leaf.code(octets(collection)) == "bound")
            #expect(try leaf.code(octets(.named([("node", collection)]))) == "bound")
            let array = "[\"\(item.mediaType)\",\"\(Base64.encode(url: item.bytes))\",4]"
            #expect(try leaf.code(text(array)) == "bound")
            #expect(
                try leaf.code(text("{\"__cmwc_t\":\"tag:x,2026:y\",\"any\":\(array)}")) == "bound")
        }
    }

    @Test func evidenceOfAnotherKeyIsRefused() throws {
        let (leaf, other) = (try FakeLeaf(), try FakeLeaf())
        let codes = [
            "dcap.report_data", "snp.report_data.mismatch", "nitro.user_data.mismatch",
            "tpm.nonce.mismatch", "simulated.report_data.mismatch", "cca.challenge.mismatch",
        ]
        for (item, code) in zip(try evidence(other), codes) {
            #expect(try leaf.code(octets(record(item))) == code)
        }
    }

    @Test func piecesAreCountedAsTheirLabelsSay() throws {
        let leaf = try FakeLeaf()
        let items = try evidence(leaf)
        let certificate = try leaf.certificate(
            octets(
                .named([
                    ("1.0", record(items[0])), ("3.2", record(items[3])),
                    ("0", record(Evidence(.tpm, bytes: [1]), indicator: 2)),
                ])))
        let carried = try AttestedLeaf(certificate, now: FakeLeaf.now).carried
        #expect(carried.count == 1)
        #expect(carried[0].dialect == .cmw)
        #expect(carried[0].evidence.map(\.index) == [0, 2])
        #expect(carried[0].endorsements.map(\.bytes) == [[1]])
    }

    @Test func whatIsNoCollectionIsRefused() throws {
        let leaf = try FakeLeaf()
        let item = try evidence(leaf)[0]
        let good = record(item)
        let deep = (0..<4).reduce(good) { value, _ in .named([("a", value)]) }
        let bad: [(String, [(String, [UInt8])])] = [
            ("certificate.malformed", octets(.named([]))),
            ("certificate.malformed", octets(.array([.text(item.mediaType)]))),
            ("certificate.malformed", octets(.array([.text(item.mediaType), .bytes([])]))),
            ("certificate.malformed", octets(record(item, indicator: 2))),
            ("certificate.malformed", octets(.tagged(1, good))),
            ("certificate.malformed", octets(deep)),
            ("certificate.malformed", octets(.array([.unsigned(1), .bytes([1])]))),
            ("certificate.malformed", text("[]")), ("certificate.malformed", text("{}")),
            ("certificate.malformed", text("[\"\(item.mediaType)\",\"AA==\"]")),
            ("certificate.malformed", [(CMWExtensionTests.identifier, good.encoded())]),
            (
                "certificate.malformed",
                [(CMWExtensionTests.identifier, DER.octetString(good.encoded()) + [0])]
            ),
            (
                "certificate.malformed",
                [(CMWExtensionTests.identifier, DER.octetString(good.encoded() + [0]))]
            ),
            ("evidence.format.unknown", octets(record(item, type: "application/x-quote"))),
            ("certificate.evidence.none", []),
        ]
        for (index, (code, extensions)) in bad.enumerated() {
            #expect(try leaf.code(extensions) == code, "case \(index)")
        }
        #expect(try leaf.code(octets(good), now: FakeLeaf.now + 3_601) == "certificate.expired")
    }

    /// The indexes of the pieces and the number of Endorsements, or the code of the refusal.
    private func reading(
        _ leaf: FakeLeaf, _ extensions: [(String, [UInt8])]
    ) throws -> String {
        let certificate = try leaf.certificate(extensions)
        do throws(Refusal) {
            let carried = try AttestedLeaf(certificate, now: FakeLeaf.now).carried[0]
            return "\(carried.evidence.map(\.index)) \(carried.endorsements.count)"
        } catch {
            return error.code
        }
    }

    @Test func indicatorsAndLabelsSayWhatIsEvidence() throws {
        let leaf = try FakeLeaf()
        let item = try evidence(leaf)[0]
        let good = record(item)
        let values = record(item, indicator: 1, type: "application/x-values")
        func json(_ third: String, _ type: String? = nil) -> String {
            "[\"\(type ?? item.mediaType)\",\"\(Base64.encode(url: item.bytes))\",\(third)]"
        }
        let strange = CBORValue.array([
            .text(item.mediaType), .bytes(item.bytes), .text("4"),
        ])
        let cases: [(String, [(String, [UInt8])])] = [
            // What is no Evidence stands beside it, whatever its type.
            ("[0] 0", octets(.named([("a", good), ("b", values)]))),
            ("[0] 0", text("{\"a\":\(json("4")),\"b\":\(json("0", "application/x"))}")),
            ("[0] 0", text("{\"a\":\(json("4")),\"b\":\(json("1", "application/x"))}")),
            ("[0] 1", text("{\"a\":\(json("4")),\"b\":\(json("2", "application/x"))}")),
            ("certificate.malformed", octets(values)),
            ("certificate.malformed", octets(strange)),
            ("certificate.malformed", text(json("\"4\""))),
            ("certificate.malformed", text(json("-1"))),
            // A collection may say its own type.
            (
                "[0] 0",
                octets(.named([("__cmwc_t", .text("tag:x,2026:y")), ("a", good)]))
            ),
            // Labels of others say nothing.
            ("[7] 0", octets(.named([("1.7", good)]))), ("[0] 0", octets(.named([("1", good)]))),
            ("[0] 0", octets(.named([("9.7", good)]))),
            ("[0] 0", octets(.named([("1.7.5", good)]))),
        ]
        for (index, (outcome, extensions)) in cases.enumerated() {
            #expect(try reading(leaf, extensions) == outcome, "case \(index)")
        }
    }

    @Test func nothingIsReadPastItsLimits() throws {
        let leaf = try FakeLeaf()
        let item = try evidence(leaf)[0]
        let array = "[\"\(item.mediaType)\",\"\(Base64.encode(url: item.bytes))\",4]"
        let malformed = "certificate.malformed"
        for (depth, outcome) in [(3, "[0] 0"), (4, malformed)] {
            let value = (0..<depth).reduce(record(item)) { value, _ in .named([("a", value)]) }
            let nested = (0..<depth).reduce(array) { value, _ in "{\"a\":\(value)}" }
            #expect(try reading(leaf, octets(value)) == outcome)
            #expect(try reading(leaf, text(nested)) == outcome)
        }
        let other = record(Evidence(.tpm, bytes: [1]), indicator: 2)
        for (count, outcome) in [(64, "[0] 63"), (65, malformed)] {
            let others = (1..<count).map { ("\($0)", other) }
            let members = others.map { "\"\($0.0)\":[\"a\",\"AQ\",2]" }.joined(separator: ",")
            #expect(try reading(leaf, octets(.named([("0", record(item))] + others))) == outcome)
            #expect(try reading(leaf, text("{\"0\":\(array),\(members)}")) == outcome)
        }
        for (count, outcome) in [(128, "[0] 1"), (129, malformed)] {
            let type = String(repeating: "a", count: count)
            let other = record(Evidence(.tpm, bytes: [1]), indicator: 2, type: type)
            let both = CBORValue.named([("0", record(item)), ("1", other)])
            #expect(try reading(leaf, octets(both)) == outcome)
        }
    }

    /// Ratel's own Evidence under a tag begins with its first field.
    @Test func whatBeginsOtherwiseIsAQuote() throws {
        let leaf = try FakeLeaf()
        let report = [UInt8](repeating: 0, count: SNPReport.size)
        let claims = StaticBinding.claims(spki: leaf.key.spki)
        func code(_ first: UInt64) throws -> String {
            let bytes = CBORValue.fields([(first, .bytes(report))]).encoded()
            let pair = CBORValue.array([.bytes(bytes), .bytes(claims)])
            return try leaf.code([
                ("2.23.133.5.4.9", CBORValue.tagged(60_000, pair).encoded())
            ])
        }
        #expect(try code(1).hasPrefix("snp."))
        #expect(try code(2).hasPrefix("dcap."))
    }

    @Test func taggedEvidenceOfOtherKindsIsRead() throws {
        let leaf = try FakeLeaf()
        let claims = StaticBinding.claims(spki: leaf.key.spki)
        for item in try evidence(leaf) {
            func tagged(_ tag: UInt64, _ claims: [UInt8]) -> [(String, [UInt8])] {
                let pair = CBORValue.array([.bytes(item.bytes), .bytes(claims)])
                return [("2.23.133.5.4.9", CBORValue.tagged(tag, pair).encoded())]
            }
            #expect(try leaf.code(tagged(60_000, claims)) == "bound", "\(item.kind)")
            #expect(try leaf.code(tagged(60_001, claims)) == "certificate.malformed")
            let forged = StaticBinding.claims(spki: try FakeLeaf().key.spki)
            let code = try leaf.code(tagged(60_000, forged))
            #expect(code.hasPrefix("certificate.binding."), "\(code)")
            // Claims that name the key, but not those that the Evidence covers.
            let other = CBORValue.map(
                (try CBORDecoder.decode(claims).entries ?? [])
                    + [.init(.text("nonce"), .bytes([1]))])
            #expect(try leaf.code(tagged(60_000, other.encoded())) != "bound")
        }
    }
}
