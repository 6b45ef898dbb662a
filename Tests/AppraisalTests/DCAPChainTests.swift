import Keys
import RATS
import Testing

@testable import Appraisal

/// Chains, revocation and the documents that Intel signs, each line by its own code.
struct DCAPChainTests {
    @Test func thePCKLeadsToThePinnedRoot() throws {
        let other = try PrivateKey.generate(.p256)
        try FakeDCAP.check([
            ("dcap.pck.chain", { $0.pckSigner = other }),
            ("dcap.pck.chain", { $0.pck.to = "270101000000Z" }),
            ("dcap.pck.chain", { $0.pck.from = "270601000000Z" }),
            ("dcap.pck.chain", { $0.issuer.to = "270101000000Z" }),
            ("dcap.pck.chain", { $0.issuer.isAuthority = false }),
            ("dcap.pck.chain", { $0.pck.isAuthority = true }),
            ("dcap.pck.chain", { $0.pck.subject = "Intel SGX PCK" }),
            ("dcap.pck.issuer", { $0.pck.issuer = "Intel SGX PCK CA" }),
            ("dcap.chain.malformed", { $0.pckChain = { _ in "" } }),
            ("dcap.chain.malformed", { $0.pckChain = { String($0.dropLast(40)) } }),
            ("dcap.chain.malformed", { $0.pckChain = { $0 + $0 + $0 } }),
            // Eight certificates are few enough; two leaves among them are one too many.
            ("dcap.pck.chain", { $0.pckChain = { $0 + $0 } }),
            (
                "UpToDate",
                {
                    let top = try $0.pem($0.root, $0.rootKey, $0.rootKey)
                    $0.pckChain = { $0 + String(repeating: top, count: 5) + "\0" }
                }
            ),
            (
                "dcap.chain.malformed",
                {
                    let top = try $0.pem($0.root, $0.rootKey, $0.rootKey)
                    $0.pckChain = { $0 + String(repeating: top, count: 6) }
                }
            ),
            // Some tools put no line break between two certificates.
            (
                "UpToDate",
                {
                    $0.pckChain = {
                        $0.replacing(
                            "-----END CERTIFICATE-----\n-----BEGIN",
                            with: "-----END CERTIFICATE----------BEGIN")
                    }
                }
            ),
            (
                "UpToDate",
                {
                    $0.issuer.subject = "Intel SGX PCK Processor CA"
                    $0.pck.issuer = "Intel SGX PCK Processor CA"
                }
            ),
        ])
        let fake = try FakeDCAP()
        for roots in [[], DCAPRoots.intel, [Digest.sha256(fake.issuerKey.spki)]] {
            let refusal = #expect(throws: Refusal.self) {
                try DCAPVerification(
                    fake.quote(), collateral: fake.collateral(), now: FakePKI.now, roots: roots)
            }
            #expect(refusal?.code == "dcap.chain.root")
        }
    }

    @Test func aRootIsOneOnlyIfItSignedItself() throws {
        // A certificate over the pinned key that another key signed.
        let other = try PrivateKey.generate(.p256)
        var fake = try FakeDCAP()
        let forged = try fake.pem(fake.root, fake.rootKey, other)
        fake.pckChain = { chain in
            let blocks = chain.components("-----END CERTIFICATE-----\n")
            return blocks[0] + blocks[1] + forged
        }
        #expect(try fake.code() == "dcap.chain.root")
    }

    @Test func everythingIsLookedUpInTheLists() throws {
        try FakeDCAP.check([
            ("dcap.pck.chain", { $0.revokedByIssuer = [3] }),
            ("dcap.pck.chain", { $0.revokedByRoot = [2] }),
            ("dcap.tcb.chain", { $0.revokedByRoot = [4] }),
            ("UpToDate", { $0.revokedByIssuer = [2, 4] }),
            ("dcap.pck.chain", { $0.listEnd = "270101000000Z" }),
            ("dcap.revocation.missing", { $0.collateralChange = { $0.pckRevocations = [] } }),
            ("dcap.revocation.missing", { $0.collateralChange = { $0.rootRevocations = [] } }),
            ("dcap.pck.chain", { $0.collateralChange = { $0.pckRevocations = [0x30, 0] } }),
            // The list of another: the PCK's issuer has none here.
            (
                "dcap.pck.chain",
                { $0.collateralChange = { $0.pckRevocations = $0.rootRevocations } }
            ),
            (
                "dcap.pck.chain",
                { $0.collateralChange = { $0.rootRevocations = $0.pckRevocations } }
            ),
        ])
    }

    @Test func whoSignsTheDocumentsLeadsToTheRootToo() throws {
        let other = try PrivateKey.generate(.p256)
        try FakeDCAP.check([
            ("dcap.tcb.chain", { $0.tcbSigner = other }),
            ("dcap.tcb.chain", { $0.tcb.to = "270101000000Z" }),
            ("dcap.tcb.chain", { $0.tcb.isAuthority = true }),
            ("dcap.tcb.chain", { $0.tcb.subject = "Intel SGX Signing" }),
            ("dcap.tcb.chain", { $0.tcbChain = { $0 + $0 } }),
            ("dcap.chain.malformed", { $0.tcbChain = { _ in "" } }),
            ("dcap.collateral.signature", { $0.documentsKey = other }),
            (
                "dcap.collateral.signature",
                { $0.documents.infoAfter = { $0.replacing("UpToDate", with: "OutOfDate") } }
            ),
            (
                "dcap.collateral.signature",
                {
                    $0.documents.identityAfter = {
                        $0.replacing("\"isvsvn\":4", with: "\"isvsvn\":1")
                    }
                }
            ),
        ])
    }

    @Test func documentsAreCurrentAndReadInOneWay() throws {
        try FakeDCAP.check([
            ("dcap.collateral.stale", { $0.documents.nextUpdate = "2027-01-15T08:00:00Z" }),
            ("UpToDate", { $0.documents.nextUpdate = "2027-01-15T08:00:01Z" }),
            ("dcap.collateral.stale", { $0.documents.issued = "2027-01-15T08:00:01Z" }),
            ("UpToDate", { $0.documents.issued = "2027-01-15T08:00:00Z" }),
            (
                "dcap.collateral.stale",
                { $0.documents.setIdentity("nextUpdate", "\"2027-01-01T00:00:00Z\"") }
            ),
            ("dcap.collateral.malformed", { $0.documents.nextUpdate = "2027-02-01" }),
            ("dcap.collateral.malformed", { $0.documents.issued = "soon" }),
            ("dcap.collateral.malformed", { $0.documents.infoAfter = { $0 + "x" } }),
            (
                "dcap.collateral.malformed",
                { $0.documents.infoAfter = { $0.dropLast() + ",\"more\":1}" } }
            ),
            (
                "dcap.collateral.malformed",
                { $0.documents.infoAfter = { $0.replacing("\"signature\"", with: "\"signed\"") } }
            ),
            (
                "dcap.collateral.malformed",
                { $0.documents.infoAfter = { $0.replacing("\"tcbInfo\":", with: "\"info\":") } }
            ),
            ("dcap.collateral.malformed", { $0.documents.infoAfter = { $0.dropLast(3) + "\"}" } }),
            // A signed document within an unsigned one, whose name is written in another way: what
            // is read would not be what was signed.
            (
                "dcap.collateral.malformed",
                {
                    $0.documents.infoAfter = { text in
                        let parts = text.components(",\"signature\"")
                        let signed = parts[0].dropFirst(11).dropLast(12)
                        return "{\"\\u0074cbInfo\":" + signed.dropLast()
                            + ",\"inner\":{\"tcbInfo\":" + signed + "}},\"signature\""
                            + text.dropFirst(parts[0].count)
                    }
                }
            ),
            (
                "dcap.collateral.malformed",
                { $0.documents.infoAfter = { $0.dropLast(4) + "\"}" } }
            ),
            (
                "dcap.collateral.too_long",
                {
                    $0.collateralChange = {
                        $0.tcbInfo = [UInt8](repeating: 0x20, count: DCAPCollateral.maximumPart + 1)
                    }
                }
            ),
            (
                "dcap.collateral.malformed",
                {
                    $0.collateralChange = {
                        $0.tcbInfo = [UInt8](repeating: 0x20, count: DCAPCollateral.maximumPart)
                    }
                }
            ),
        ])
    }

    @Test func theExtensionOfThePCKIsReadStrictly() throws {
        let field = FakeSGXExtension.field
        let number = FakeSGXExtension.number
        try FakeDCAP.check([
            ("dcap.pck.extension", { $0.extension_.ppid.removeLast() }),
            ("dcap.pck.extension", { $0.extension_.pceID.append(0) }),
            ("dcap.pck.extension", { $0.extension_.fmspc.removeLast() }),
            ("dcap.pck.extension", { $0.extension_.cpuSVN.append(1) }),
            ("dcap.pck.extension", { $0.extension_.components.removeLast() }),
            ("dcap.pck.extension", { $0.extension_.components.append(1) }),
            ("dcap.pck.extension", { $0.extension_.moreInTCB = [field(".2.1", number(9))] }),
            ("dcap.pck.extension", { $0.extension_.more = [field(".4", [4, 0])] }),
            ("UpToDate", { $0.extension_.more = [field(".5", [0x0A, 1, 0])] }),
            ("dcap.pck.extension", { $0.extension_.more = [field(".5", [0x0A, 1, 0, 5, 0])] }),
            ("dcap.pck.extension", { $0.extension_.change = { _ in [4, 0] } }),
            ("dcap.pck.extension", { $0.extension_.change = { _ in [0x30, 0] } }),
            (
                "dcap.pck.extension",
                { $0.pck.extensions = [(PCKCertificate.identifier, [0x30, 0])] }
            ),
            // Tags of another kind around the right content.
            ("dcap.pck.extension", { $0.extension_.change = { $0.retagged(".2", 0x31) } }),
            ("dcap.pck.extension", { $0.extension_.change = { $0.retagged(".4", 0x0C) } }),
            // 0x80 and up would be a negative number.
            (
                "dcap.pck.extension",
                {
                    $0.extension_.components.removeLast()
                    $0.extension_.moreInTCB = [field(".2.16", [2, 1, 0x80])]
                }
            ),
            (
                "dcap.pck.extension",
                {
                    $0.extension_.components.removeLast()
                    $0.extension_.moreInTCB = [field(".2.16", [2, 1, 0xFF])]
                }
            ),
            (
                "dcap.pck.extension",
                {
                    $0.extension_.components.removeLast()
                    $0.extension_.moreInTCB = [field(".2.16", [2, 4, 0, 0, 0, 5])]
                }
            ),
            (
                "dcap.pck.extension",
                {
                    $0.extension_.components.removeLast()
                    $0.extension_.moreInTCB = [field(".2.16", [4, 1, 5])]
                }
            ),
        ])
    }
}

extension [UInt8] {
    /// The field under `arc` of Intel's extension with another tag on its value.
    fileprivate func retagged(_ arc: String, _ tag: UInt8) -> [UInt8] {
        let identifier = DER.objectIdentifier(PCKCertificate.identifier + arc)
        var copy = self
        for start in indices.dropLast(identifier.count)
        where self[start..<start + identifier.count].elementsEqual(identifier) {
            copy[start + identifier.count] = tag
        }
        return copy
    }
}

extension String {
    /// The parts up to and with each `end`.
    fileprivate func components(_ end: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: end) {
            parts.append(String(rest[..<range.upperBound]))
            rest = rest[range.upperBound...]
        }
        return parts
    }
}
