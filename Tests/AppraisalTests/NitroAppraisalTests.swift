import Keys
import RATS
import Testing

@testable import Appraisal

struct NitroAppraisalTests {
    private typealias Change = (inout FakeNitro) throws -> Void

    private func check(_ changes: [(String, Change)]) throws {
        for (index, (wanted, change)) in changes.enumerated() {
            var nitro = try FakeNitro()
            try change(&nitro)
            #expect(try nitro.code() == wanted, "change \(index)")
        }
    }

    @Test func goodEvidenceIsAdmitted() throws {
        try check([
            ("admitted", { _ in }), ("admitted", { $0.tag = 18 }),
            ("admitted", { $0.setRegister(31, [UInt8](repeating: 1, count: 64)) }),
        ])
        #expect(try FakeNitro().code(pinned: false) == "nitro.root.unknown")
        #expect(try FakeNitro().code(section: false) == "policy.nitro.missing")
    }

    @Test func everyLineOfTheStructureHasItsRefusal() throws {
        let long = CBORValue.bytes([UInt8](repeating: 1, count: 1025))
        let other = CBORValue.map([.init(.unsigned(1), .negative(6))]).encoded()
        let more = CBORValue.map([
            .init(.unsigned(1), .negative(34)), .init(.unsigned(4), .bytes([1])),
        ])
        try check([
            ("nitro.malformed", { $0.trailing = [0] }), ("nitro.malformed", { $0.tag = 17 }),
            ("nitro.malformed", { $0.open = more }), ("nitro.malformed", { $0.open = .null }),
            ("nitro.algorithm", { $0.header = other }),
            ("nitro.algorithm", { $0.header = more.encoded() }),
            ("nitro.algorithm", { $0.header = [] }),
            ("nitro.malformed", { $0.set("module_id", .text("")) }),
            ("nitro.malformed", { $0.set("module_id", nil) }),
            (
                "nitro.malformed",
                { $0.set("module_id", .text(String(repeating: "i", count: 1025))) }
            ),
            ("nitro.malformed", { $0.more = [.null] }),
            (
                // Each field within its cap, all together above what the NSM answers with.
                "nitro.malformed",
                {
                    let most = CBORValue.bytes([UInt8](repeating: 1, count: 1024))
                    $0.bundle = [CBORValue](repeating: most, count: 8)
                    for name in ["public_key", "user_data", "nonce"] { $0.set(name, most) }
                    for index: UInt64 in 0..<32 {
                        $0.setRegister(index, [UInt8](repeating: 1, count: 64))
                    }
                }
            ),
            ("nitro.digest", { $0.set("digest", .text("SHA256")) }),
            ("nitro.malformed", { $0.set("digest", nil) }),
            ("nitro.malformed", { $0.set("timestamp", .unsigned(0)) }),
            ("nitro.malformed", { $0.set("timestamp", .unsigned(.max)) }),
            ("nitro.malformed", { $0.set("timestamp", .unsigned(UInt64(Int64.max) + 1)) }),
            ("nitro.timestamp", { $0.set("timestamp", .unsigned(UInt64(Int64.max))) }),
            (
                "admitted",
                { $0.set("module_id", .text(String(repeating: "i", count: 1024))) }
            ),
            ("nitro.malformed", { $0.set("timestamp", nil) }),
            ("nitro.malformed", { $0.set("extra", .unsigned(1)) }),
            ("nitro.malformed", { $0.set("pcrs", .map([])) }),
            ("nitro.malformed", { $0.setRegister(0, nil) }),
            ("nitro.malformed", { $0.setRegister(32, [UInt8](repeating: 1, count: 48)) }),
            ("nitro.malformed", { $0.setRegister(8, [UInt8](repeating: 1, count: 47)) }),
            ("nitro.malformed", { $0.set("certificate", .bytes([])) }),
            ("nitro.malformed", { $0.set("certificate", long) }),
            ("nitro.certificate.malformed", { $0.set("certificate", .bytes([0x30, 0])) }),
            ("nitro.malformed", { $0.bundle = [] }), ("nitro.malformed", { $0.bundle = [long] }),
            ("nitro.malformed", { $0.bundle = [.bytes([])] }),
            ("nitro.malformed", { $0.bundle = [.null] }),
            (
                "nitro.malformed",
                { $0.bundle = [CBORValue](repeating: .bytes([1]), count: 9) }
            ),
            ("nitro.malformed", { $0.set("public_key", long) }),
            ("nitro.malformed", { $0.set("user_data", long) }),
            ("nitro.malformed", { $0.set("nonce", long) }),
            (
                "nitro.malformed",
                { $0.trailing = [UInt8](repeating: 0, count: NitroDocument.maxSize) }
            ),
            ("nitro.signature.invalid", { $0.tampers = true }),
            ("nitro.signature.invalid", { $0.digest = .sha256 }),
            (
                "nitro.key",
                {
                    $0.key = try PrivateKey.generate(.p256)
                    $0.digest = .sha256
                }
            ),
        ])
    }

    @Test func aDocumentHasItsLargestSize() throws {
        let junk = CBORValue.bytes([UInt8](repeating: 1, count: 1024))
        func read(_ size: Int) throws -> String {
            var nitro = try FakeNitro()
            for index: UInt64 in 0..<32 {
                nitro.setRegister(index, [UInt8](repeating: 1, count: 64))
            }
            nitro.set("module_id", .text(String(repeating: "i", count: 1024)))
            nitro.set("public_key", .bytes([UInt8](repeating: 3, count: 600)))
            var last = 500
            // Signatures in DER differ by some bytes from one to the next.
            for _ in 0..<500 {
                let end = CBORValue.bytes([UInt8](repeating: 1, count: last))
                nitro.bundle = [CBORValue](repeating: junk, count: 7) + [end]
                let bytes = try nitro.evidence(root: [])
                guard bytes.count == size else {
                    last += size - bytes.count
                    continue
                }
                do throws(Refusal) {
                    _ = try NitroEvidence.unbound(bytes)
                    return "read"
                } catch {
                    return error.code
                }
            }
            return "none of that size"
        }
        #expect(try read(NitroDocument.maxSize) == "read")
        #expect(try read(NitroDocument.maxSize + 1) == "nitro.malformed")
    }

    @Test func theDocumentMustBeOfThisConnection() throws {
        for name in ["user_data", "nonce", "public_key"] {
            try check([
                ("nitro.\(name).mismatch", { $0.set(name, .bytes([1])) }),
                ("nitro.\(name).mismatch", { $0.set(name, .bytes([])) }),
                ("nitro.\(name).mismatch", { $0.set(name, .null) }),
                ("nitro.\(name).mismatch", { $0.set(name, nil) }),
            ])
        }
        let nothing = Appraiser.ExpectedBinding(
            reportData: FakeNitro.reportData,
            tpmQualifyingData: [UInt8](repeating: 0, count: 32)
        )
        #expect(try FakeNitro().code(expected: nothing) == "nitro.binding.missing")
    }

    @Test func theKeyMustLeadToThePinnedRoot() throws {
        let other = try PrivateKey.generate(.p384)
        try check([
            ("nitro.root.unknown", { $0.bundle = [.bytes([1])] }),
            ("nitro.chain.invalid", { $0.leafSigner = other }),
            ("nitro.chain.invalid", { $0.regionSigner = other }),
            ("nitro.chain.invalid", { $0.leaf.to = "270101000000Z" }),
            ("nitro.chain.invalid", { $0.leaf.from = "270601000000Z" }),
            ("nitro.chain.invalid", { $0.region.to = "270101000000Z" }),
            ("nitro.chain.invalid", { $0.root.to = "270101000000Z" }),
            ("nitro.chain.invalid", { $0.region.isAuthority = false }),
            ("nitro.chain.invalid", { $0.region.usage = 0x02 }),
            ("nitro.chain.invalid", { $0.leaf.isAuthority = true }),
            // A root that allows no authority below it: pathLenConstraint 0.
            (
                "nitro.chain.invalid",
                { $0.root.constraints = DER.sequence([[1, 1, 0xFF], DER.integer([])]) }
            ),
        ])
    }

    @Test func timeAndStateAreChecked() throws {
        let zero = [UInt8](repeating: 0, count: 48)
        try check([("nitro.debug", { $0.setRegister(0, zero) })])
        let now = FakePKI.now
        for (shift, wanted): (Int64, String) in [
            (-61, "nitro.timestamp"), (-60, "admitted"), (60, "admitted"), (61, "nitro.timestamp"),
        ] { #expect(try FakeNitro().code(now: now + shift) == wanted) }
    }

    @Test func registersAreWhatThePolicySays() throws {
        let nitro = try FakeNitro()
        let full: [Int: ReferenceValue] = [0: .any, 1: .any, 2: .any, 8: .any]
        #expect(try nitro.code(pcrs: [:]) == "nitro.pcr.policy")
        for index in [0, 1, 2, 8] {
            var pcrs = full
            pcrs[index] = nil
            #expect(try nitro.code(pcrs: pcrs) == "nitro.pcr.policy")
            pcrs[index] = .oneOf([])
            #expect(try nitro.code(pcrs: pcrs) == "nitro.pcr.mismatch")
            pcrs[index] = .oneOf([[UInt8](repeating: 9, count: 48)])
            let same = index == 8
            #expect(try nitro.code(pcrs: pcrs) == (same ? "admitted" : "nitro.pcr.mismatch"))
            pcrs[index] = .oneOf([[UInt8](repeating: UInt8(index) + 1, count: 48)])
            #expect(try nitro.code(pcrs: pcrs) == "admitted")
        }
        #expect(try nitro.code(pcrs: full.merging([3: .any]) { $1 }) == "nitro.pcr.mismatch")
    }
}
