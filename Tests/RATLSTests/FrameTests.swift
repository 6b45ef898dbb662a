import Appraisal
import Attestation
import Keys
import RATS
import Testing

@testable import RATLS

/// The bodies of frames, changed one thing at a time.
struct FrameTests {
    private func code(_ read: () throws -> Void) -> String {
        do {
            try read()
            return "read"
        } catch let refusal as Refusal {
            return refusal.code
        } catch {
            return "\(error)"
        }
    }

    @Test func framesHaveTheirLimits() throws {
        func decode(_ bytes: [UInt8]) -> String { code { _ = try Frame.decode(bytes[...]) } }
        for kind in Frame.Kind.allCases {
            let whole = Frame(kind, [UInt8](repeating: 0, count: kind.limit))
            #expect(try Frame.decode(whole.encoded[...]) == whole)
            let over = kind.limit + 1
            let header = [
                kind.rawValue, UInt8(over >> 16), UInt8(over >> 8 & 0xFF), UInt8(over & 0xFF),
            ]
            #expect(decode(header) == "exchange.frame.too_long")
            #expect(try Frame.decode(whole.encoded.dropLast()[...]) == nil)
            for count in 0..<Frame.headerSize {
                #expect(try Frame.decode(whole.encoded.prefix(count)) == nil)
            }
        }
        // Half a length says nothing yet.
        #expect(try Frame.decode([1, 0xFF, 0xFF][...]) == nil)
        for type: UInt8 in [0, 7, 255] { #expect(decode([type]) == "exchange.frame.unknown") }
    }

    private let malformed = "exchange.evidence.malformed"

    private func record(
        _ mediaType: CBORValue = .text("a/b"), _ bytes: CBORValue = .bytes([1]),
        _ indicator: UInt64 = 4, more: [CBORValue] = []
    ) -> CBORValue {
        .array([mediaType, bytes, .unsigned(indicator)] + more)
    }

    private func evidence(
        _ change: (inout [UInt64: CBORValue?]) -> Void = { _ in }
    ) -> String {
        var fields: [UInt64: CBORValue?] = [
            1: .bytes([UInt8](repeating: 1, count: 32)), 2: .named([("3.0", record())]),
            3: .bytes([1]), 4: .array([]), 5: .unsigned(0), 6: .bytes(Array("{}".utf8)),
            8: .bytes([UInt8](repeating: 1, count: 64)),
        ]
        change(&fields)
        let bytes = CBORValue.fields(fields.map { ($0.key, $0.value) }).encoded()
        return code { _ = try EvidenceBody.decode(bytes) }
    }

    @Test func everyFieldOfAnEvidenceFrameHasItsForm() {
        #expect(evidence() == "read")
        for key: UInt64 in [1, 2, 3, 4, 5, 6, 8] {
            #expect(evidence { $0[key] = .some(nil) } == malformed, "without \(key)")
        }
        let node = CBORValue.bytes([UInt8](repeating: 2, count: 48))
        let room = EvidenceBody.maxConfiguration
        let changes: [(String, (inout [UInt64: CBORValue?]) -> Void)] = [
            (malformed, { $0[9] = .null }),
            (malformed, { $0[1] = .bytes([UInt8](repeating: 1, count: 31)) }),
            (malformed, { $0[8] = .bytes([UInt8](repeating: 1, count: 63)) }),
            ("read", { $0[4] = .array(Array(repeating: node, count: 16)) }),
            (malformed, { $0[4] = .array(Array(repeating: node, count: 17)) }),
            (malformed, { $0[4] = .array([.bytes([1])]) }),
            ("read", { $0[5] = .unsigned(0xFFFF) }), (malformed, { $0[5] = .unsigned(0x10000) }),
            ("read", { $0[6] = .bytes([UInt8](repeating: 0, count: room)) }),
            (malformed, { $0[6] = .bytes([UInt8](repeating: 0, count: room + 1)) }),
            (malformed, { $0[7] = .named([]) }),
        ]
        for (index, (wanted, change)) in changes.enumerated() {
            #expect(evidence(change) == wanted, "change \(index)")
        }
    }

    @Test func recordsHaveTheirNames() {
        func collection(_ entries: [(String, CBORValue)]) -> String {
            evidence { $0[2] = .named(entries) }
        }
        for label in ["3", "3.0.0", "03.0", "3.00", "4x.0", "3.65536", "256.0", "9.0", ".", ""] {
            #expect(collection([(label, record())]) == malformed, "\(label)")
        }
        #expect(collection([("3.65535", record())]) == "read")
        let long = String(repeating: "a", count: 128)
        #expect(collection([("3.0", record(.text(long)))]) == "read")
        #expect(collection([("3.0", record(.text(long + "a")))]) == malformed)
        #expect(collection([("3.0", record(.bytes([1])))]) == malformed)
        #expect(collection([("3.0", record(.text("a"), .text("a")))]) == malformed)
        #expect(collection([("3.0", record(.text("a"), .bytes([]), 2))]) == malformed)
        #expect(collection([("3.0", record(more: [.null]))]) == malformed)
        #expect(collection([("3.0", .null)]) == malformed)
        #expect(evidence { $0[2] = .array([]) } == malformed)
        let many = (0..<33).map { ("3.\($0)", record()) }
        #expect(collection(Array(many.dropLast())) == "read")
        #expect(collection(many) == malformed)
    }

    @Test func endorsementsAreNumbered() {
        let one = record(.text("a/b"), .bytes([1]), 2)
        func endorsements(_ entries: [(String, CBORValue)]) -> String {
            evidence { $0[7] = .named(entries) }
        }
        #expect(endorsements([("0", one)]) == "read")
        #expect(endorsements([("0", one), ("1", one)]) == "read")
        for names in [["1"], ["0", "2"], ["00"], ["x"]] {
            #expect(endorsements(names.map { ($0, one) }) == malformed, "\(names)")
        }
        #expect(endorsements([("0", record())]) == malformed)
        let many = (0..<33).map { ("\($0)", one) }
        #expect(endorsements(Array(many.dropLast())) == "read")
        #expect(endorsements(many) == malformed)
    }

    @Test func aRefusedPeerIsToldWhoCanHelp() {
        func remedy(_ code: String, _ stage: Refusal.Stage) -> String {
            let refusal = Refusal(
                code, stage, field: "a secret", expected: "a path", got: "another", remedy: "none")
            return ResultBody.refused(refusal).remedy
        }
        #expect(remedy("a.refusal", .policy) == "see the peer's reason; its policy decides")
        #expect(remedy("attester.busy", .attestation) == "try again in a second")
        for stage in [Refusal.Stage.attestation, .configuration] {
            let words = remedy("a.failure", stage)
            #expect(words.contains("read its log") && words.contains("`ratel doctor` there"))
        }
    }

    @Test func resultsAndActivationsHaveTheirForm() {
        func result(_ code: CBORValue?, _ text: CBORValue?, _ last: CBORValue?) -> String {
            let bytes = CBORValue.fields([(1, code), (2, text), (3, last)]).encoded()
            return self.code { _ = try ResultBody.decode(bytes) }
        }
        let wrong = "exchange.result.malformed"
        let most = String(repeating: "a", count: ResultBody.maxText)
        #expect(result(.unsigned(0), nil, nil) == "read")
        #expect(result(.unsigned(0), .text(most), .unsigned(9)) == "read")
        #expect(result(.unsigned(0), .text(most + "a"), nil) == wrong)
        #expect(result(nil, .text("a"), nil) == wrong)
        #expect(result(.text("0"), nil, nil) == wrong)
        #expect(result(.unsigned(0), .bytes([1]), nil) == wrong)
        #expect(result(.unsigned(0), nil, .text("a")) == wrong)
        #expect(code { _ = try ResultBody.decode([]) } == wrong)
        let refused = "exchange.activation.malformed"
        let good = CBORValue.fields([(1, .bytes([1])), (2, .bytes([2]))])
        #expect(code { _ = try ActivationBody.decode(good.encoded()) } == "read")
        #expect(code { _ = try ActivationBody.decodeSecret(good.encoded()) } == refused)
        let half = CBORValue.fields([(1, .bytes([1]))])
        #expect(code { _ = try ActivationBody.decode(half.encoded()) } == refused)
        #expect(code { _ = try ActivationBody.decodeSecret(half.encoded()) } == "read")
    }

    /// A text of any length is cut between characters, and still read by the other side.
    @Test func reasonsAreCutToSize() throws {
        let long = String(repeating: "ü", count: 512)
        let refusal = Refusal(
            "a.b", .policy, field: long, expected: long, got: long, remedy: long)
        let body = ResultBody.refused(refusal)
        #expect(body.text.utf8.count <= ResultBody.maxText)
        #expect(body.text.utf8.count > ResultBody.maxText - 8)
        #expect(try ResultBody.decode(body.encoded) == body)
        // The last character may take four bytes.
        let plain = String(repeating: "x", count: 512)
        let ascii = Refusal(
            "a.b", .policy, field: plain, expected: plain, got: plain, remedy: plain)
        #expect(ResultBody.refused(ascii).text.utf8.count == ResultBody.maxText - 3)
        let own = Refusal("a.b", .attestation, field: "f", expected: "e", got: "g", remedy: "r")
        #expect(ResultBody.refused(own).text == "a.b")
    }

    /// A frame of each kind before any challenge of the peer's; only a result may come.
    @Test func theChallengeComesFirst() throws {
        for kind in Frame.Kind.allCases where kind != .challenge && kind != .result {
            var exchange = try exchange()
            _ = exchange.start()
            exchange.receive(Frame(kind, [0xA0]).encoded)
            var end = Wire.End.running
            _ = Wire.drive(&exchange, &end)
            #expect(end.code == "exchange.challenge.missing", "\(kind)")
        }
    }

    private func exchange(
        attester: (any Attester)? = nil, exported: [UInt8]? = [UInt8](repeating: 1, count: 32),
        configuration: [UInt8] = Array("{}".utf8)
    ) throws -> Exchange {
        Exchange(
            settings: ExchangeSettings(
                asks: .policy(Sample.policy()),
                attestation: attester.map {
                    ExchangeSettings.Attestation(attester: $0, bindingKeys: Wire.anyBindingKeys)
                },
                configuration: configuration),
            channel: ChannelFacts(
                channelID: 1, role: .server, localSPKI: Sample.serverKey,
                peerSPKI: Sample.clientKey, export: { _, _ in exported }),
            moment: Moment(unix: 1_800_000_000, uptime: 0))
    }

    private func end(_ exchange: Exchange, kinds: [EvidenceKind] = [.simulated]) -> String? {
        var exchange = exchange
        var end = Wire.End.running
        _ = exchange.start()
        exchange.receive(Frame(.challenge, ChallengeBody.make(kinds: kinds).encoded).encoded)
        _ = Wire.drive(&exchange, &end)
        return end.code
    }

    @Test func whatThisSideCannotGiveItSays() throws {
        let attester = try SimulatedAttester()
        #expect(end(try exchange(attester: attester)) == nil)
        #expect(end(try exchange(attester: attester), kinds: [.tpm]) == "attester.kind.unwanted")
        for exported: [UInt8]? in [nil, [], [UInt8](repeating: 1, count: 31)] {
            #expect(
                end(try exchange(attester: attester, exported: exported))
                    == "exchange.exporter.failed")
        }
        let large = [UInt8](repeating: 0x20, count: Frame.Kind.evidence.limit)
        #expect(
            end(try exchange(attester: attester, configuration: large))
                == "attester.evidence.too_long")
    }

    /// The frame is signed and its path leads somewhere, before Evidence is looked at.
    @Test func theBindingOfAFrameIsChecked() throws {
        let base = [UInt8](repeating: 5, count: 64)
        func code(
            key: PrivateKey = Wire.anyKey, spki: [UInt8]? = nil, path: MerkleTree.Path = .empty,
            signature: [UInt8]? = nil
        ) throws -> String {
            let evidence = [Evidence(.simulated, bytes: [1])]
            let text = Binding.evidenceToSign(
                base: base, manifest: Binding.manifest(of: evidence))
            let body = EvidenceBody(
                nonce: [UInt8](repeating: 1, count: 32), evidence: evidence,
                bindingKey: spki ?? key.spki, path: path, configuration: Array("{}".utf8),
                endorsements: [], signature: try signature ?? key.signRaw(text))
            let job = AppraisalJob(
                body: body, base: base, asks: .policy(Sample.policy()), now: 1_800_000_000,
                activations: [])
            guard case .failure(let refusal) = job.run() else { return "admitted" }
            return refusal.code
        }
        let node = [UInt8](repeating: 7, count: 48)
        #expect(try code() == "simulated.malformed")
        let longest = MerkleTree.Path(neighbours: Array(repeating: node, count: 16), sides: 0)
        #expect(try code(path: longest) == "simulated.malformed")
        #expect(try code(key: .generate(.p384)) == "binding.key.malformed")
        #expect(try code(spki: [1]) == "binding.key.malformed")
        #expect(try code(spki: Wire.otherKey.spki) == "binding.signature.invalid")
        #expect(
            try code(signature: [UInt8](repeating: 1, count: 64)) == "binding.signature.invalid")
        for path in [
            MerkleTree.Path(neighbours: [], sides: 1),
            MerkleTree.Path(neighbours: [node.dropLast()], sides: 0),
            MerkleTree.Path(neighbours: Array(repeating: node, count: 17), sides: 0),
        ] {
            #expect(try code(path: path) == "binding.path.malformed")
        }
    }
}
