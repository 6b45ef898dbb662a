import Keys
import RATS
import Testing

@testable import Appraisal

/// What Evidence needs of its vendor, and the names under which that is kept.
struct CollateralNeedTests {
    private func names(_ evidence: Evidence) -> [String] {
        CollateralNeed.of([evidence]).map(\.fileName)
    }

    @Test func aQuoteNeedsWhatIntelSaysOfItsPlatform() throws {
        var fake = try FakeDCAP()
        #expect(
            names(Evidence(.tdx, bytes: try fake.quote())) == ["dcap-tdx-00806f050000-platform"])
        fake.issuer.subject = "Intel SGX PCK Processor CA"
        fake.pck.issuer = "Intel SGX PCK Processor CA"
        fake.beEnclave(version: 3)
        #expect(
            names(Evidence(.sgx, bytes: try fake.quote())) == ["dcap-sgx-00806f050000-processor"])
        #expect(names(Evidence(.tdx, bytes: [1])) == [])
    }

    @Test func aReportNeedsTheCertificatesOfItsChip() throws {
        var fake = try FakeSNP()
        let needs = names(Evidence(.snp, bytes: try fake.evidence()))
        #expect(needs.count == 2)
        #expect(needs.first == "amd-genoa-vcek")
        #expect(needs.last?.hasPrefix("vcek-genoa-") == true)
        // Version 2 does not name its product: the key's certificate does.
        fake.set(0x00, [2])
        fake.set(0x188, [0, 0, 0])
        #expect(names(Evidence(.snp, bytes: try fake.evidence())) == needs)
        fake.leavesOut = [0]
        #expect(names(Evidence(.snp, bytes: try fake.evidence())) == [])
        var loaded = try FakeSNP()
        loaded.becomeLoaded("CSP")
        #expect(names(Evidence(.snp, bytes: try loaded.evidence())) == ["amd-genoa-vlek"])
        #expect(names(Evidence(.tpm, bytes: try fake.evidence())) == [])
    }

    @Test func aDeviceNeedsManifestsAndAnswers() throws {
        var device = try FakeNVIDIAMachine().devices[0]
        func manifests() throws -> [String] {
            names(try device.evidence()).filter { $0.hasPrefix("rim-") }
        }
        #expect(names(try device.evidence()).last?.hasPrefix("ocsp-") == true)
        #expect(try manifests() == ["rim-NV_GPU_DRIVER_GH100_580.1"])
        device.set(3, Array("09AZ.\0".utf8))
        #expect(try manifests() == ["rim-NV_GPU_DRIVER_GH100_09AZ."])
        // What stands in a name of files and URLs is what NVIDIA writes there, and nothing else.
        for character in ["/", ":", "@", "[", "a", "%", "-"] {
            device.set(3, Array("58\(character)1\0".utf8))
            #expect(try manifests() == [], "\(character)")
        }
        device.set(3, Array("580.1\0".utf8))
        device.set(17, Array("G520\0".utf8))
        device.set(18, Array("0200\0".utf8))
        #expect(try manifests().count == 1)
        device.set(15, Array("895\0".utf8))
        #expect(try manifests().last == "rim-NV_GPU_VBIOS_G520_0200_895_96005E0001")
        device.set(15, Array("8/5\0".utf8))
        #expect(try manifests().count == 1)
    }

    @Test func onlyWhatLeadsToARootIsAskedFor() throws {
        let fake = try FakeDCAP()
        let quote = Evidence(.tdx, bytes: try fake.quote())
        let machine = try FakeNVIDIAMachine()
        let device = try machine.devices[0].evidence()
        var roots = CollateralRoots()
        func count(_ item: Evidence, _ roots: CollateralRoots, _ now: Int64 = FakePKI.now) -> Int {
            CollateralNeed.of([item], roots: roots, now: now).count
        }
        #expect(count(quote, roots) == 0)
        #expect(count(device, roots) == 0)
        roots.intel = fake.roots
        roots.devices = machine.roots.devices
        #expect(count(quote, roots) == 1)
        #expect(count(device, roots) == 2)
        #expect(count(quote, roots, FakePKI.now + 1000 * 86_400) == 0)
        #expect(count(device, roots, FakePKI.now + 1000 * 86_400) == 0)
        let report = Evidence(.snp, bytes: try FakeSNP().evidence())
        #expect(count(report, roots) == 2)
    }

    @Test func whatLiesInEvidenceIsCarriedByReports() throws {
        let bytes = try FakeSNP().evidence()
        #expect(CollateralNeed.carried(by: [Evidence(.snp, bytes: bytes)]).count == 4)
        #expect(CollateralNeed.carried(by: [Evidence(.tpm, bytes: bytes)]).isEmpty)
        #expect(CollateralNeed.carried(by: [Evidence(.snp, bytes: [1])]).isEmpty)
    }

    @Test func aFileIsWhatItsNameSays() throws {
        let dcap = CollateralNeed.dcap(tee: "tdx", fmspc: [0, 0x80], ca: "platform")
        #expect(CollateralNeed(fileName: dcap.fileName, []) == dcap)
        let amd = CollateralNeed.amd(product: .genoa, isLoaded: true)
        #expect(CollateralNeed(fileName: amd.fileName, []) == amd)
        let carried = CollateralNeed.carried(by: [
            Evidence(.snp, bytes: try FakeSNP().evidence())
        ])
        let chip = try #require(try FakeSNP().hardwareID)
        let tcb = try #require(SNPTCB([10, 1, 0, 0, 0, 0, 23, 200], product: .genoa))
        let vcek = CollateralNeed.vcek(product: .genoa, chip: chip, tcb: tcb)
        #expect(CollateralNeed(fileName: vcek.fileName, carried) == vcek)
        let machine = try FakeNVIDIAMachine()
        let manifest = Endorsement(
            mediaType: "application/swid+xml", bytes: try machine.manifests[0].bytes())
        #expect(
            CollateralNeed(fileName: "rim-X", [manifest])
                == .manifest(id: "X", chip: "GH100", version: "580.1"))
        let chain = Array(try machine.devices[0].chain().dropFirst())
        let status = CollateralNeed.status(chain: chain)
        let answer = Endorsement(
            mediaType: NVIDIARevocation.mediaType, bytes: try machine.devices[0].answer.encoded())
        let subjects = chain.map {
            Endorsement(mediaType: CheckedCollateral.subjectType, bytes: $0)
        }
        #expect(CollateralNeed(fileName: status.fileName, [answer] + subjects) == status)
        for (name, contents) in [
            ("", []), ("dcap", []), ("dcap-tdx-0080", []), ("dcap-tdx-00AA-platform", []),
            ("dcap-tdx-xx-platform", []), ("dcap-tdx-0080-platform-more", []), ("amd", []),
            ("amd-genoa", []), ("amd-rome-vcek", []), ("amd-genoa-any", []), ("vcek", carried),
            ("vcek-genoa", carried), ("vcek-rome-1-2", carried), (vcek.fileName, []),
            (vcek.fileName + "0", carried), ("rim", [manifest]), ("rim-X-Y", [manifest]),
            ("rim-X", []), ("ocsp", subjects), (status.fileName, [answer]),
            (status.fileName, Array(subjects.dropLast())), ("other-1", []),
        ] as [(String, [Endorsement])] {
            #expect(CollateralNeed(fileName: name, contents) == nil, "\(name)")
        }
    }
}
