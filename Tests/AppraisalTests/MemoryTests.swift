import Keys
import RATS
import Testing

@testable import Appraisal

/// What was found once is not believed again when anything that it depends on is another.
struct MemoryTests {
    private struct Chain {
        let root: Certificate
        let leaf: Certificate
        let key: PrivateKey

        init(to: String = "280101000000Z") throws {
            key = try PrivateKey.generate()
            let leafKey = try PrivateKey.generate()
            root = try Certificate(
                der: FakePKI.certificate(
                    .init(subject: "root", issuer: "root", isAuthority: true), of: key, by: key))
            leaf = try Certificate(
                der: FakePKI.certificate(
                    .init(subject: "leaf", issuer: "root", serial: 7, to: to), of: leafKey,
                    by: key))
        }

        func validate(_ lists: [[UInt8]] = [], anchor: Certificate? = nil, at now: Int64) throws {
            var options = CertificateChain.Options()
            options.revocationLists = lists
            try CertificateChain.validate(
                leaf, anchors: [anchor ?? root], now: now, options: options)
        }
    }

    @Test func aPathThatHeldIsRefusedOutsideItsTime() throws {
        // 2027-12-31 23:59:59, the last second before the end of the leaf.
        let end: Int64 = 1_830_297_600
        let chain = try Chain()
        for now in [FakePKI.now, end - 1] { try chain.validate(at: now) }
        for now in [end, end + 1, 1_767_225_599] {
            #expect(throws: KeyError.self, "\(now)") { try chain.validate(at: now) }
        }
        try chain.validate(at: FakePKI.now)
    }

    @Test func aPathThatHeldIsRefusedByAnotherList() throws {
        let chain = try Chain()
        func list(_ serials: [UInt8], to: String = "280101000000Z") throws -> [UInt8] {
            try FakePKI.revocationList(issuer: "root", serials: serials, to: to, by: chain.key)
        }
        let short = try list([], to: "270201000000Z")
        for _ in 0..<2 {
            try chain.validate(at: FakePKI.now)
            try chain.validate([short], at: FakePKI.now)
        }
        let error = #expect(throws: KeyError.self) {
            try chain.validate([try list([7])], at: FakePKI.now)
        }
        #expect(error?.reason == .revoked)
        // 2027-02-01: the list of the path that was found has ended, the certificates have not.
        try chain.validate(at: 1_801_440_000)
        #expect(throws: KeyError.self) { try chain.validate([short], at: 1_801_440_000) }
    }

    @Test func aPathThatHeldIsRefusedUnderAnotherAnchor() throws {
        let chain = try Chain()
        try chain.validate(at: FakePKI.now)
        let other = try Chain()
        #expect(throws: KeyError.self) {
            try chain.validate(anchor: other.root, at: FakePKI.now)
        }
    }

    @Test func anAnchorThatNamesItselfMustHaveSignedItself() throws {
        let chain = try Chain()
        var template = FakePKI.Template(subject: "root", issuer: "root", isAuthority: true)
        template.to = "290101000000Z"
        let altered = try Certificate(
            der: FakePKI.certificate(template, of: chain.key, by: try PrivateKey.generate()))
        #expect(!altered.isSelfSigned && chain.root.isSelfSigned)
        #expect(throws: KeyError.self) { try chain.validate(anchor: altered, at: FakePKI.now) }
    }

    @Test func collateralThatHeldIsRefusedWhenItIsAltered() throws {
        guard let vector = try RealVector.all("tdx").first(where: \.isGood) else { return }
        let now = try vector.verifyAt()
        let good = vector.collateral
        let quote = vector.file("quote.bin") ?? []
        let roots = try vector.roots()
        for _ in 0..<2 {
            _ = try DCAPVerification(quote, collateral: good, now: now, roots: roots)
        }
        for part in [\DCAPCollateral.tcbInfo, \.qeIdentity] {
            var altered = good
            let text = String(decoding: good[keyPath: part], as: UTF8.self)
            altered[keyPath: part] = Array(text.replacing("UpToDate", with: "OutOfDate").utf8)
            let refusal = #expect(throws: Refusal.self) {
                try DCAPVerification(quote, collateral: altered, now: now, roots: roots)
            }
            #expect(refusal?.code == "dcap.collateral.signature")
        }
        let late = #expect(throws: Refusal.self) {
            try DCAPVerification(quote, collateral: good, now: now + 400 * 86_400, roots: roots)
        }
        #expect(late != nil)
        var flipped = quote
        flipped[100] ^= 1
        let refusal = #expect(throws: Refusal.self) {
            try DCAPVerification(flipped, collateral: good, now: now, roots: roots)
        }
        #expect(refusal?.code == "dcap.quote.signature")
    }
}
