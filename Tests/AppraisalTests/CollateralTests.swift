import Keys
import RATS
import Testing

@testable import Appraisal

/// What is kept of what vendors say: only what is signed, current and about what was asked.
struct CollateralTests {
    private func code(
        _ need: CollateralNeed, _ endorsements: [Endorsement], _ roots: CollateralRoots,
        pckIssuers: [UInt8]? = nil, now: Int64 = FakePKI.now
    ) -> String {
        do throws(Refusal) {
            _ = try CheckedCollateral(
                need, endorsements, pckIssuers: pckIssuers, roots: roots, now: now)
            return "good"
        } catch {
            return error.code
        }
    }

    private func certificate(_ der: [UInt8]) -> Endorsement {
        Endorsement(mediaType: "application/pkix-cert", bytes: der)
    }

    private let fmspc: [UInt8] = [0, 0x80, 0x6F, 5, 0, 0]

    private func intel(
        _ need: CollateralNeed? = nil, _ change: (inout FakeDCAP) throws -> Void = { _ in },
        issuers: ((FakeDCAP) throws -> [UInt8])? = nil
    ) throws -> String {
        var fake = try FakeDCAP()
        try change(&fake)
        var roots = CollateralRoots()
        roots.intel = fake.roots
        return code(
            need ?? .dcap(tee: "tdx", fmspc: fmspc, ca: "platform"),
            [try fake.collateral().endorsement], roots, pckIssuers: try issuers?(fake))
    }

    @Test func intelsIsOfThePlatformAskedAbout() throws {
        let other = "collateral.other"
        #expect(try intel() == "good")
        #expect(try intel(.dcap(tee: "tdx", fmspc: [1] + fmspc, ca: "platform")) == other)
        #expect(try intel(.dcap(tee: "sgx", fmspc: fmspc, ca: "platform")) == other)
        #expect(try intel(.dcap(tee: "tdx", fmspc: fmspc, ca: "processor")) == other)
        #expect(try intel { $0.documents.setIdentity("id", "\"QE\"") } == other)
        #expect(try intel { $0.documents.set("id", "\"SGX\"") } == other)
        #expect(
            try intel(.dcap(tee: "sgx", fmspc: fmspc, ca: "platform")) {
                $0.beEnclave(version: 3)
            } == "good")
        #expect(
            try intel(.dcap(tee: "sgx", fmspc: fmspc, ca: "platform")) {
                $0.beEnclave(version: 3)
                $0.documents.setIdentity("id", "\"TD_QE\"")
            } == other)
        #expect(
            code(.dcap(tee: "tdx", fmspc: fmspc, ca: "platform"), [], CollateralRoots())
                == "collateral.missing")
        let long = [UInt8](repeating: 0x20, count: DCAPCollateral.maximumPart + 1)
        #expect(
            try intel { $0.collateralChange = { $0.pckRevocations = long } }
                == "collateral.too_long")
    }

    @Test func intelsIsSigned() throws {
        let stranger = try PrivateKey.generate(.p256)
        let wrong = "collateral.signature"
        #expect(try intel { $0.tcbSigner = stranger } == "dcap.tcb.chain")
        #expect(
            try intel {
                $0.documents.infoAfter = { $0.replacing("UpToDate", with: "OutOfDate") }
            } == "dcap.collateral.signature")
        #expect(
            try intel {
                $0.documents.identityAfter = { $0.replacing("UpToDate", with: "OutOfDate") }
            } == "dcap.collateral.signature")
        #expect(try intel { $0.collateralChange = { $0.pckRevocations = [0x30] } } == wrong)
        // Where the source gives the chain of the list, its signature is looked at.
        func issuers(_ fake: FakeDCAP) throws -> [UInt8] {
            Array(try fake.pem(fake.issuer, fake.issuerKey, fake.rootKey).utf8)
        }
        #expect(try intel(issuers: issuers) == "good")
        func strangers(_ fake: FakeDCAP) throws -> [UInt8] {
            Array(try fake.pem(fake.issuer, stranger, fake.rootKey).utf8)
        }
        #expect(try intel(issuers: strangers) == wrong)
        #expect(try intel(issuers: { _ in [1] }) == "dcap.chain.malformed")
    }

    @Test func intelsIsCurrent() throws {
        func list(from: String, to: String) throws -> String {
            try intel {
                let list = try FakePKI.revocationList(
                    issuer: $0.issuer.subject, serials: [], from: from, to: to, by: $0.issuerKey)
                $0.collateralChange = { $0.pckRevocations = list }
            }
        }
        let stale = "collateral.stale"
        #expect(try list(from: "270101000000Z", to: "270115080000Z") == stale)
        #expect(try list(from: "270101000000Z", to: "270115080001Z") == "good")
        #expect(try list(from: "270115080001Z", to: "270201000000Z") == stale)
        #expect(try list(from: "270115080000Z", to: "270201000000Z") == "good")
        #expect(
            try intel { $0.documents.nextUpdate = "2027-01-15T08:00:00Z" }
                == "dcap.collateral.stale")
        #expect(
            try intel { $0.documents.setIdentity("nextUpdate", "\"2027-01-15T08:00:00Z\"") }
                == "dcap.collateral.stale")
    }

    @Test func itsTimeAndNumbersAreKept() throws {
        let fake = try FakeDCAP()
        var roots = CollateralRoots()
        roots.intel = fake.roots
        let checked = try CheckedCollateral(
            .dcap(tee: "tdx", fmspc: fmspc, ca: "platform"), [fake.collateral().endorsement],
            roots: roots, now: FakePKI.now)
        #expect(UTCTime.text(checked.from) == "2027-01-01T00:00:00Z")
        #expect(UTCTime.text(checked.until) == "2027-02-01T00:00:00Z")
        #expect(checked.refreshAt > checked.from && checked.refreshAt < checked.until)
        #expect(
            checked.evaluations == ["tdx TCB info 00806f050000": 20, "tdx QE identity": 20])
    }

    private func amd(
        isLoaded: Bool = false, _ change: (inout FakeSNP) throws -> Void = { _ in },
        edit: (inout [Endorsement]) -> Void = { _ in }
    ) throws -> String {
        var fake = try FakeSNP()
        try change(&fake)
        var endorsements = CollateralNeed.carried(by: [Evidence(.snp, bytes: try fake.evidence())])
        edit(&endorsements)
        var roots = CollateralRoots()
        roots.amd = [.genoa: [Digest.sha256(fake.ark.spki)]]
        return code(.amd(product: .genoa, isLoaded: isLoaded), endorsements, roots)
    }

    @Test func amdsLeadsToThePinnedRoot() throws {
        let stranger = try PrivateKey.generate(.p384)
        let other = "collateral.other"
        #expect(try amd() == "good")
        #expect(try amd(isLoaded: true) == other)
        #expect(try amd(isLoaded: true, { $0.becomeLoaded("CSP") }) == "good")
        #expect(try amd({ $0.leavesOut = [1] }) == other)
        #expect(try amd({ $0.leavesOut = [2] }) == other)
        #expect(try amd({ $0.middle.isAuthority = false }) == other)
        #expect(try amd({ $0.middle.subject = "SEV-Milan" }) == other)
        #expect(try amd({ $0.middleSigner = stranger }) == "collateral.signature")
        #expect(try amd({ $0.listSigner = stranger }) == "collateral.signature")
        #expect(try amd({ $0.revoked = [7] }) == "collateral.signature")
        #expect(try amd({ $0.hasList = false }) == "collateral.signature")
        #expect(try amd({ $0.listTo = "270115075959Z" }) == "collateral.signature")
        #expect(try amd({ $0.listFrom = "270115080001Z" }) == "collateral.signature")
        #expect(try amd({ $0.middle.to = "270101000000Z" }) == "collateral.signature")
        // Beside one that calls itself so; under a root that nobody pinned; by another type.
        let namesake = try FakePKI.certificate(
            FakePKI.Template(subject: "SEV-Genoa", issuer: "SEV-Genoa", isAuthority: true),
            of: stranger, by: stranger)
        let beside = try amd({
            $0.strangeCertificate = namesake
            $0.isReversed = true
        })
        #expect(beside == "good")
        let whole = try FakeSNP()
        let all = CollateralNeed.carried(by: [Evidence(.snp, bytes: try whole.evidence())])
        var pins = CollateralRoots()
        #expect(code(.amd(product: .genoa, isLoaded: false), all, pins) == other)
        pins.amd = [.genoa: [Digest.sha256(whole.ask.spki)]]
        #expect(code(.amd(product: .genoa, isLoaded: false), all, pins) == other)
        let renamed = try amd(edit: { list in
            list = list.map { item in
                item.mediaType == "application/pkix-cert"
                    ? Endorsement(mediaType: "application/octet-stream", bytes: item.bytes) : item
            }
        })
        #expect(renamed == other)
        // The pinned key is one thing, a certificate that it did not sign another.
        var fake = try FakeSNP()
        let forged = try FakePKI.certificate(fake.root, of: fake.ark, by: stranger)
        fake.leavesOut = [2]
        fake.strangeCertificate = forged
        var roots = CollateralRoots()
        roots.amd = [.genoa: [Digest.sha256(fake.ark.spki)]]
        let sent = CollateralNeed.carried(by: [Evidence(.snp, bytes: try fake.evidence())])
        #expect(code(.amd(product: .genoa, isLoaded: false), sent, roots) == other)
        roots.amd = [.milan: [Digest.sha256(fake.ark.spki)]]
        #expect(code(.amd(product: .genoa, isLoaded: false), sent, roots) == other)
    }

    @Test func theCertificateOfAChipIsThatChips() throws {
        let fake = try FakeSNP()
        let sent = CollateralNeed.carried(by: [Evidence(.snp, bytes: try fake.evidence())])
        let tcb = try #require(SNPTCB([10, 1, 0, 0, 0, 0, 23, 200], product: .genoa))
        let newer = try #require(SNPTCB([10, 1, 0, 0, 0, 0, 24, 200], product: .genoa))
        let chip = try #require(fake.hardwareID)
        let other = "collateral.other"
        func vcek(
            _ product: SNPProduct = .genoa, _ chip: [UInt8], _ tcb: SNPTCB, _ now: Int64? = nil
        ) -> String {
            code(
                .vcek(product: product, chip: chip, tcb: tcb), sent, CollateralRoots(),
                now: now ?? FakePKI.now)
        }
        #expect(vcek(.genoa, chip, tcb) == "good")
        #expect(vcek(.milan, chip, tcb) == other)
        #expect(vcek(.genoa, chip.reversed(), tcb) == other)
        #expect(vcek(.genoa, chip, newer) == other)
        #expect(vcek(.genoa, chip, tcb, FakePKI.now + 2 * 366 * 86_400) == "collateral.stale")
    }

    @Test func aManifestIsOfItsVersionAndSigned() throws {
        let machine = try FakeNVIDIAMachine()
        let sent = try machine.manifests.map {
            Endorsement(mediaType: "application/swid+xml", bytes: try $0.bytes())
        }
        var roots = CollateralRoots()
        roots.manifests = machine.roots.manifests
        func manifest(_ chip: String, _ version: String) -> String {
            code(.manifest(id: "x", chip: chip, version: version), sent, roots)
        }
        #expect(manifest("GH100", "580.1") == "good")
        #expect(manifest("GH100", "96.00.5E.00.01") == "good")
        #expect(manifest("GB100", "580.1") == "collateral.other")
        #expect(manifest("GH100", "580.2") == "collateral.other")
        #expect(
            code(
                .manifest(id: "x", chip: "GH100", version: "580.1"), sent, CollateralRoots())
                == "nvidia.rim.root.unknown")
        #expect(
            code(
                .manifest(id: "x", chip: "GH100", version: "580.1"), [certificate([1])], roots)
                == "collateral.other")
    }

    @Test func everyCertificateOfAChainHasItsAnswer() throws {
        let machine = try FakeNVIDIAMachine()
        let device = machine.devices[0]
        let chain = Array(try device.chain().dropFirst())
        let all = try (machine.maker.answers + [device.answer]).map {
            Endorsement(mediaType: NVIDIARevocation.mediaType, bytes: try $0.encoded())
        }
        var roots = CollateralRoots()
        roots.devices = machine.roots.devices
        #expect(code(.status(chain: chain), all, roots) == "good")
        #expect(code(.status(chain: chain), all, CollateralRoots()) == "collateral.other")
        #expect(code(.status(chain: []), all, roots) == "collateral.other")
        #expect(code(.status(chain: chain.dropLast()), all, roots) == "collateral.other")
        #expect(
            code(.status(chain: [[1]] + chain), all, roots) == "collateral.other")
        #expect(code(.status(chain: chain + [[1]]), all, roots) == "collateral.other")
        let renamed = all.map { Endorsement(mediaType: "a/b", bytes: $0.bytes) }
        #expect(code(.status(chain: chain), renamed, roots) == "collateral.signature")
        #expect(
            code(.status(chain: chain), Array(all.dropLast()), roots) == "collateral.signature")
        var late = device.answer
        late.to = "20270101000000Z"
        let stale = Endorsement(mediaType: NVIDIARevocation.mediaType, bytes: try late.encoded())
        #expect(
            code(.status(chain: chain), all.dropLast() + [stale], roots)
                == "collateral.signature")
        // Revoked is an answer too: what it means is for who asks.
        var revoked = device.answer
        revoked.status = .revoked(1)
        let bad = Endorsement(mediaType: NVIDIARevocation.mediaType, bytes: try revoked.encoded())
        #expect(code(.status(chain: chain), all.dropLast() + [bad], roots) == "good")
    }
}
