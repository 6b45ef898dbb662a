import Keys
import RATS
import Testing

@testable import Appraisal

/// Manifests of Reference Values, read without a policy around them.
struct CoRIMTests {
    private func fields(_ pairs: [(UInt64, CBORValue)]) -> CBORValue {
        .fields(pairs.map { ($0.0, $0.1) })
    }

    private func manifest(_ measurements: [CBORValue], tag: UInt64 = 501) -> CBORValue {
        let place = fields([(0, fields([(1, .text("maker"))]))])
        let triple = CBORValue.array([place, .array(measurements)])
        let module = fields([(4, fields([(0, .array([triple]))]))])
        return .tagged(tag, fields([(1, .array([.tagged(506, .bytes(module.encoded()))]))]))
    }

    private func digests(_ byte: UInt8, _ count: Int = 48) -> CBORValue {
        .array([.array([.unsigned(7), .bytes([UInt8](repeating: byte, count: count))])])
    }

    private func measurement(_ key: CBORValue, _ values: [(UInt64, CBORValue)]) -> CBORValue {
        fields([(0, key), (1, fields(values))])
    }

    private func code(_ value: CBORValue, _ keys: VerifierKeys? = nil) -> String {
        code(value.encoded(), keys)
    }

    private func code(_ bytes: [UInt8], _ keys: VerifierKeys? = nil) -> String {
        do throws(Refusal) {
            return "\(try CoRIM(bytes, signedBy: keys).measurements.map(\.name))"
        } catch {
            return error.code
        }
    }

    @Test func measurementsHaveNames() throws {
        let all = manifest([
            measurement(.text("a"), [(2, digests(1))]),
            measurement(.unsigned(5), [(2, digests(2, 32))]),
            measurement(.tagged(111, .bytes([1, 2])), [(2, digests(3))]),
            measurement(
                .text("pcrs"),
                [(14, .map([.init(.unsigned(4), digests(4)), .init(.text("x"), digests(5))]))]),
            measurement(.text("svn"), [(1, .unsigned(3))]),
        ])
        let read = try CoRIM(all.encoded(), signedBy: nil).measurements
        #expect(read.map(\.name) == ["a", "5", "0102", "pcrs.4", "pcrs.x"])
        #expect(read[0].vendor == "maker" && read[0].model == nil)
        #expect(read[3].digests == [[UInt8](repeating: 4, count: 48)])
        #expect(code(.tagged(500, all)) == "[\"a\", \"5\", \"0102\", \"pcrs.4\", \"pcrs.x\"]")
    }

    @Test func whatIsNoManifestIsRefused() throws {
        let good = manifest([measurement(.text("a"), [(2, digests(1))])])
        #expect(code(good) == "[\"a\"]")
        #expect(code(good.encoded() + [0]) == "corim.malformed")
        #expect(code(manifest([], tag: 502)) == "corim.malformed")
        #expect(code(fields([(1, .array([]))])) == "corim.malformed")
        #expect(code(manifest([.text("a")])) == "corim.malformed")
        #expect(code(manifest([fields([(0, .text("a"))])])) == "corim.malformed")
        #expect(
            code(manifest([measurement(.text("a"), [(2, .array([.text("x")]))])]))
                == "corim.malformed")
        #expect(
            code(.tagged(501, fields([(1, .array([.tagged(506, .text("x"))]))])))
                == "corim.malformed")
        #expect(code([UInt8](repeating: 0, count: CoRIM.maxSize + 1)) == "corim.malformed")
        let triples = fields([(4, fields([(0, .array([.text("x")]))]))]).encoded()
        #expect(
            code(.tagged(501, fields([(1, .array([.tagged(506, .bytes(triples))]))])))
                == "corim.malformed")
    }

    @Test func triplesAndDigestsArePairs() throws {
        let place = fields([(0, fields([(1, .text("maker"))]))])
        let all = CBORValue.array([measurement(.text("a"), [(2, digests(1))])])
        func triples(_ parts: [CBORValue]) -> String {
            let module = fields([(4, fields([(0, .array([.array(parts)]))]))]).encoded()
            return code(.tagged(501, fields([(1, .array([.tagged(506, .bytes(module))]))])))
        }
        #expect(triples([place, all]) == "[\"a\"]")
        #expect(triples([place, all, .unsigned(0)]) == "corim.malformed")
        let three = CBORValue.array([.unsigned(7), .bytes([1]), .unsigned(0)])
        #expect(
            code(manifest([measurement(.text("a"), [(2, .array([three]))])])) == "corim.malformed")
    }

    @Test func aManifestHasItsSize() throws {
        func encoded(_ count: Int) -> [UInt8] {
            let name = CBORValue.text(String(repeating: "a", count: count))
            return manifest([measurement(name, [(2, digests(1))])]).encoded()
        }
        let most = CoRIM.maxSize - (encoded(100_000).count - 100_000)
        #expect(encoded(most).count == CoRIM.maxSize)
        #expect(code(encoded(most)) != "corim.malformed")
        #expect(code(encoded(most + 1)) == "corim.malformed")
    }

    @Test func validityIsWithinTheCalendar() throws {
        func read(_ seconds: CBORValue) -> String {
            let validity = fields([(0, .tagged(1, .unsigned(1))), (1, seconds)])
            let all = CBORValue.tagged(501, fields([(1, .array([])), (4, validity)]))
            do throws(Refusal) {
                let manifest = try CoRIM(all.encoded(), signedBy: nil)
                return "\(manifest.validFrom ?? -1) to \(manifest.validUntil ?? -1)"
            } catch {
                return error.code
            }
        }
        #expect(read(.tagged(1, .unsigned(253_402_300_799))) == "1 to 253402300799")
        #expect(read(.tagged(1, .unsigned(253_402_300_800))) == "corim.malformed")
        #expect(read(.unsigned(2)) == "corim.malformed")
        #expect(read(.tagged(1, .text("2"))) == "corim.malformed")
    }

    @Test func aSignatureIsByAPinnedKeyOverTheManifest() throws {
        let key = try PrivateKey.generate()
        let other = try PrivateKey.generate()
        let pinned = VerifierKeys([key.publicKey])
        let good = manifest([measurement(.text("a"), [(2, digests(1))])])
        func signed(
            _ payload: [UInt8]? = nil, by signer: PrivateKey? = nil,
            header: [(UInt64, CBORValue)]? = nil, open: CBORValue = .map([])
        ) throws -> CBORValue {
            let payload = payload ?? good.encoded()
            let header = fields(
                header ?? [(1, .negative(6)), (3, .text("application/rim+cbor"))]
            ).encoded()
            let covered = CBORValue.array([
                .text("Signature1"), .bytes(header), .bytes([]), .bytes(payload),
            ]).encoded()
            return .tagged(
                18,
                .array([
                    .bytes(header), open, .bytes(payload),
                    .bytes(try (signer ?? key).signRaw(covered)),
                ]))
        }
        #expect(try code(signed(), pinned) == "[\"a\"]")
        #expect(try code(.tagged(502, signed()), pinned) == "[\"a\"]")
        #expect(try code(signed(by: other), pinned) == "corim.signature")
        #expect(try code(signed(), VerifierKeys([VerifierKeys]())) == "corim.signature")
        #expect(code(good, pinned) == "corim.signature")
        // Whoever names no keys takes what is not signed, and what is signed by anybody.
        #expect(try code(signed(by: other)) == "[\"a\"]")
        #expect(try code(signed([1]), pinned) == "corim.malformed")
        #expect(try code(signed(header: [(1, .negative(6))]), pinned) == "corim.malformed")
        #expect(
            try code(signed(header: [(1, .negative(6)), (3, .text("text/plain"))]), pinned)
                == "corim.malformed")
        #expect(
            try code(
                signed(header: [(1, .negative(7)), (3, .text("application/rim+cbor"))]), pinned)
                == "corim.malformed")
        // An algorithm outside the signature, and an extension that must be understood.
        for open in [fields([(1, .negative(6))]), fields([(2, .array([]))])] {
            #expect(try code(signed(open: open), pinned) == "corim.malformed")
        }
        let critical: [(UInt64, CBORValue)] = [
            (1, .negative(6)), (2, .array([.unsigned(99)])), (3, .text("application/rim+cbor")),
        ]
        #expect(try code(signed(header: critical), pinned) == "corim.malformed")
    }
}
