import Keys
import RATS
import Testing

@testable import Appraisal

/// TCB info, TDX module, quoting enclave and the level that comes of them, each line by its code.
struct DCAPTCBTests {
    private typealias Level = FakeTCBDocuments.Level
    private typealias SVN = FakeTCBDocuments.SVN

    private func fives(_ index: Int, _ value: Int) -> [Int] {
        var values = [Int](repeating: 5, count: 16)
        values[index] = value
        return values
    }

    @Test func theDocumentIsOfThisPlatform() throws {
        try FakeDCAP.check([
            ("dcap.tcb.id", { $0.documents.set("id", "\"SGX\"") }),
            (
                "dcap.tcb.id",
                {
                    $0.beEnclave(version: 3)
                    $0.documents.set("id", "\"TDX\"")
                }
            ),
            ("dcap.tcb.fmspc", { $0.extension_.fmspc[5] = 1 }),
            ("dcap.tcb.pceid", { $0.extension_.pceID[1] = 1 }),
        ])
    }

    @Test func theDocumentIsReadStrictly() throws {
        let malformed = "dcap.collateral.malformed"
        for (name, value) in [
            ("id", nil), ("version", "2"), ("version", "4"), ("version", nil), ("fmspc", "\"x\""),
            ("pceId", nil), ("tcbEvaluationDataNumber", "\"20\""),
        ] as [(String, String?)] {
            try FakeDCAP.check([(malformed, { $0.documents.set(name, value) })])
        }
        for (name, value) in [
            ("id", nil), ("version", "1"), ("version", "3"), ("miscselect", "\"000000\""),
            ("miscselectMask", "\"FFFFFFFFFF\""), ("attributes", "\"11\""),
            ("attributesMask", "\"FF\""), ("mrsigner", "\"DD\""), ("isvprodid", nil),
            ("tcbEvaluationDataNumber", "null"),
        ] as [(String, String?)] {
            try FakeDCAP.check([(malformed, { $0.documents.setIdentity(name, value) })])
        }
        try FakeDCAP.check([
            (
                malformed,
                { $0.documents.infoBefore = { $0.replacing("tcbLevels", with: "levels") } }
            ),
            (malformed, { $0.documents.levels[0].status = "Fine" }),
            (malformed, { $0.documents.levels[0].sgx.removeLast() }),
            (malformed, { $0.documents.levels[0].sgx.append(1) }),
            (malformed, { $0.documents.levels[0].tdx?.removeLast() }),
            (
                malformed,
                { $0.documents.infoBefore = { $0.replacing("{\"svn\":5}", with: "{\"s\":5}") } }
            ),
            (
                malformed,
                { $0.documents.infoBefore = { $0.replacing("\"pcesvn\":13", with: "\"p\":13") } }
            ),
            (malformed, { $0.documents.qeLevels[0].status = "Fine" }),
            (
                malformed,
                {
                    $0.documents.identityBefore = {
                        $0.replacing("\"isvsvn\":4", with: "\"isvsvn\":\"4\"")
                    }
                }
            ),
        ])
    }

    @Test func theModuleIsIntels() throws {
        typealias Documents = FakeTCBDocuments
        let good = [SVN(svn: 5)]
        let other = String(repeating: "01", count: 48)
        let malformed = "dcap.collateral.malformed"
        func module(_ text: String) -> FakeDCAP.Change { { $0.documents.modules = [text] } }
        try FakeDCAP.check([
            ("dcap.tdx.mrsignerseam", { $0.layout.body[64] = 1 }),
            ("dcap.tdx.seamattributes", { $0.layout.body[119] = 1 }),
            (
                "dcap.tdx.mrsignerseam",
                module(Documents.module("TDX_01", mrSigner: other, levels: good))
            ),
            ("dcap.tcb.module", module(Documents.module("TDX_03", levels: good))),
            ("dcap.tcb.module", { $0.documents.modules = [] }),
            ("UpToDate", module(Documents.module("tdx_01", levels: good))),
            ("dcap.tcb.module_level", module(Documents.module("TDX_01", levels: [SVN(svn: 6)]))),
            ("dcap.tcb.module_level", module(Documents.module("TDX_01", levels: []))),
            (malformed, module(Documents.module("TDX_01", mrSigner: "00", levels: good))),
            (malformed, module(Documents.module("TDX_01", attributes: "00", levels: good))),
            (malformed, module(Documents.module("TDX_01", mask: "FF", levels: good))),
            // Version 0 has its identity in a member of its own.
            (
                "UpToDate",
                {
                    $0.layout.body[1] = 0; $0.documents.levels[0].tdx = fives(1, 0)
                }
            ),
            (
                "dcap.tcb.module",
                {
                    $0.layout.body[1] = 0; $0.documents.firstModule = nil
                }
            ),
            (
                "dcap.tdx.mrsignerseam",
                {
                    $0.layout.body[1] = 0
                    $0.documents.firstModule = Documents.module(nil, mrSigner: other, levels: [])
                }
            ),
        ])
    }

    @Test func theQuotingEnclaveIsIntels() throws {
        let wrong = "dcap.qe.identity"
        try FakeDCAP.check([
            (wrong, { $0.documents.setIdentity("id", "\"QE\"") }),
            (wrong, { $0.layout.qeReport[16] = 1 }), (wrong, { $0.layout.qeReport[48] = 0x13 }),
            (wrong, { $0.layout.qeReport[128] ^= 1 }), (wrong, { $0.layout.qeReport[256] = 3 }),
            (wrong, { $0.layout.qeReport[257] = 1 }), (wrong, { $0.layout.qeReport[258] = 3 }),
            // Outside the masks anything goes.
            ("UpToDate", { $0.layout.qeReport[56] = 7 }),
            ("UpToDate", { $0.layout.qeReport[258] = 9 }),
            (
                "UpToDate",
                {
                    $0.documents.setIdentity("miscselect", "\"00000001\"")
                    $0.layout.qeReport[16] = 1
                }
            ),
        ])
    }

    @Test func theFirstLevelThatIsReachedCounts() throws {
        let none = "dcap.tcb.unsupported"
        let sixes = (0..<16).map { fives($0, 6) }
        // The module's own version is not the platform's matter once there are modules.
        try FakeDCAP.check(sixes.map { values in (none, { $0.documents.levels[0].sgx = values }) })
        try FakeDCAP.check(
            sixes.enumerated().map { index, values in
                (index < 2 ? "UpToDate" : none, { $0.documents.levels[0].tdx = values })
            })
        // Of version 0 each component counts.
        try FakeDCAP.check(
            (0..<16).map { index in
                (
                    none,
                    {
                        $0.layout.body[1] = 0
                        $0.documents.levels[0].tdx = fives(1, 0)
                        $0.documents.levels[0].tdx?[index] += 1
                    }
                )
            })
        try FakeDCAP.check([
            (none, { $0.documents.levels[0].pceSVN = 14 }),
            (none, { $0.documents.levels[0].tdx = nil }),
            (none, { $0.documents.levels = [] }),
            (
                "OutOfDate",
                {
                    var newer = Level()
                    newer.sgx = fives(3, 6)
                    $0.documents.levels = [newer, Level(status: "OutOfDate")]
                }
            ),
            (
                "OutOfDate",
                {
                    $0.documents.levels = [
                        Level(pceSVN: 14), Level(status: "OutOfDate"), Level(status: "Revoked"),
                    ]
                }
            ),
            ("dcap.tcb.revoked", { $0.documents.levels[0].status = "Revoked" }),
            ("dcap.tcb.revoked", { $0.documents.qeLevels[0].status = "Revoked" }),
        ])
    }

    @Test func theWorstPartCounts() throws {
        func parts(_ platform: String, _ module: String, _ enclave: String) -> FakeDCAP.Change {
            {
                $0.documents.levels[0].status = platform
                $0.documents.modules = [
                    FakeTCBDocuments.module("TDX_01", levels: [SVN(svn: 5, status: module)])
                ]
                $0.documents.qeLevels[0].status = enclave
            }
        }
        let good = "UpToDate"
        let old = "OutOfDate"
        try FakeDCAP.check([
            (good, parts(good, good, good)), (old, parts(good, old, good)),
            (old, parts(good, good, old)), (old, parts("SWHardeningNeeded", old, good)),
            ("SWHardeningNeeded", parts("SWHardeningNeeded", good, good)),
            ("OutOfDateConfigurationNeeded", parts("ConfigurationNeeded", old, good)),
            ("OutOfDateConfigurationNeeded", parts("ConfigurationNeeded", good, old)),
            (
                "OutOfDateConfigurationNeeded",
                parts("ConfigurationAndSWHardeningNeeded", good, old)
            ),
            ("OutOfDateConfigurationNeeded", parts("OutOfDateConfigurationNeeded", old, old)),
            ("dcap.tcb.revoked", parts(good, "Revoked", good)),
        ])
    }

    /// The platform runs a newer module than the one under which the TD was launched.
    @Test func aRelaunchIsAdvisedOnlyWhereItMends() throws {
        func relaunch(
            platform: String = "UpToDate", running: [UInt8] = [6, 1], old: String = "OutOfDate",
            new: String = "UpToDate", version: UInt16 = 5
        ) -> FakeDCAP.Change {
            {
                $0.layout.version = version
                $0.layout.bodyType = 3
                $0.layout.body = FakeQuoteLayout.trustDomain15
                $0.layout.body[584] = running[0]
                $0.layout.body[585] = running[1]
                $0.documents.levels[0].status = platform
                $0.documents.modules = [
                    FakeTCBDocuments.module(
                        "TDX_01", levels: [SVN(svn: 6, status: new), SVN(svn: 5, status: old)])
                ]
            }
        }
        try FakeDCAP.check([
            ("TDRelaunchAdvised", relaunch()),
            ("TDRelaunchAdvised", relaunch(platform: "SWHardeningNeeded")),
            (
                "TDRelaunchAdvisedConfigurationNeeded",
                relaunch(platform: "ConfigurationNeeded")
            ),
            (
                "TDRelaunchAdvisedConfigurationNeeded",
                relaunch(platform: "ConfigurationAndSWHardeningNeeded")
            ),
            ("OutOfDate", relaunch(running: [5, 1])),
            ("OutOfDate", relaunch(new: "OutOfDate")),
            ("OutOfDate", relaunch(running: [6, 3])),
            ("OutOfDate", relaunch(running: [6, 0])),
            ("OutOfDate", relaunch(platform: "OutOfDate")),
            ("UpToDate", relaunch(old: "UpToDate")),
            ("dcap.tcb.revoked", relaunch(old: "Revoked")),
            (
                "OutOfDate",
                {
                    try relaunch()(&$0)
                    // A component that the running module does not reach.
                    $0.layout.body[590] = 4
                }
            ),
        ])
    }

    @Test func theAdvisoriesOfEveryPartAreNamedOnce() throws {
        var fake = try FakeDCAP()
        fake.documents.levels[0].advisories = ["A", "B"]
        fake.documents.modules = [
            FakeTCBDocuments.module("TDX_01", levels: [SVN(svn: 5, advisories: ["C"])])
        ]
        fake.documents.qeLevels[0].advisories = ["D"]
        // What is up to date has none of its own to answer for.
        #expect(try fake.verify().advisories == ["A", "B"])
        fake.documents.modules = [
            FakeTCBDocuments.module(
                "TDX_01", levels: [SVN(svn: 5, status: "OutOfDate", advisories: ["C", "A"])])
        ]
        fake.documents.qeLevels[0].status = "OutOfDate"
        #expect(try fake.verify().advisories == ["A", "B", "C", "D"])
        fake.documents.evaluation = 21
        fake.documents.setIdentity("tcbEvaluationDataNumber", "19")
        #expect(try fake.verify().evaluation == 19)
    }

    @Test func componentsHaveIntelsNames() throws {
        var fake = try FakeDCAP()
        fake.documents.infoBefore = {
            let first = $0.firstRange(of: "{\"svn\":5}")
            return $0.replacingFirst(first, "{\"svn\":5,\"category\":\"BIOS\",\"type\":\"\"}")
        }
        let document = try SignedDocument(
            fake.documents.tcbInfo(fake.tcbKey), member: "tcbInfo")
        #expect(try TCBInfo(document).levels[0].sgxNames.prefix(2) == ["BIOS", ""])
    }
}

extension String {
    fileprivate func replacingFirst(_ range: Range<Index>?, _ text: String) -> String {
        range.map { self[..<$0.lowerBound] + text + self[$0.upperBound...] } ?? self
    }
}
