import Keys
import RATS
import Testing

@testable import Appraisal

/// Each line of an SNP policy refuses what it should, with a code of its own.
struct SNPPolicyTests {
    private typealias Change = (inout FakeSNPPolicy) -> Void

    private func code(
        _ snp: FakeSNP,
        _ change: Change = { _ in },
        section: Bool = true
    ) throws -> String {
        var policy = snp.policy
        change(&policy)
        return try policy.code(
            snp.evidence(), reportData: snp.reportData, now: FakePKI.now, section: section)
    }

    private func floors(
        current: SNPPolicy.Floor = .any,
        committed: SNPPolicy.Floor = .any,
        reported: SNPPolicy.Floor = .any,
        launch: SNPPolicy.Floor = .any
    ) -> [SNPProduct: SNPPolicy.Floors] {
        [.genoa: .init(current: current, committed: committed, reported: reported, launch: launch)]
    }

    @Test func noSectionAdmitsNothing() throws {
        #expect(try code(FakeSNP(), section: false) == "policy.snp.missing")
    }

    @Test func noPolicyAllowsDebuggingOrMigration() throws {
        var debug = try FakeSNP()
        debug.set(0x0A, [0x0B])
        #expect(try code(debug) == "snp.debug")
        var migrates = try FakeSNP()
        migrates.set(0x0A, [0x07])
        #expect(try code(migrates) == "snp.migrate_ma")
    }

    @Test func identityIsWhatThePolicySays() throws {
        let snp = try FakeSNP()
        let none = ReferenceValue.oneOf([])
        let other48 = ReferenceValue.oneOf([[UInt8](repeating: 1, count: 48)])
        let changes: [(String, Change)] = [
            ("snp.measurement", { $0.measurement = other48 }),
            ("snp.measurement", { $0.measurement = none }),
            ("snp.host_data", { $0.hostData = .oneOf([[UInt8](repeating: 1, count: 32)]) }),
            ("snp.host_data", { $0.hostData = none }),
            ("snp.id_key_digest", { $0.idKeyDigest = other48 }),
            ("snp.author_key_digest", { $0.authorKeyDigest = other48 }),
            ("snp.chip_id", { $0.chipID = .oneOf([[UInt8](repeating: 1, count: 64)]) }),
            ("snp.chip_id", { $0.chipID = none }),
            ("snp.guest_svn", { $0.guestSVN = .atLeast(6) }), ("snp.vmpl", { $0.vmpl = [1] }),
            ("snp.vmpl", { $0.vmpl = [] }), ("snp.product.refused", { $0.products = [:] }),
            (
                "snp.product.refused",
                { $0.products = [.turin: FakeSNPPolicy.anything, .milan: FakeSNPPolicy.anything] }
            ),
        ]
        for (index, (wanted, change)) in changes.enumerated() {
            #expect(try code(snp, change) == wanted, "change \(index)")
        }
        let exact: Change = {
            $0.measurement = .oneOf([[UInt8](repeating: 0xAA, count: 48)])
            $0.hostData = .oneOf([[UInt8](repeating: 0xBB, count: 32)])
            $0.idKeyDigest = .oneOf([[UInt8](repeating: 0xCC, count: 48)])
            $0.authorKeyDigest = .oneOf([[UInt8](repeating: 0xDD, count: 48)])
            $0.chipID = .oneOf([(0..<64).map { UInt8($0) }])
            $0.guestSVN = .atLeast(5)
            $0.vmpl = [0]
            $0.products = [.genoa: FakeSNPPolicy.anything]
        }
        #expect(try code(snp, exact) == "admitted")
    }

    @Test func milanIsRefusedUnlessWritten() throws {
        var snp = try FakeSNP()
        snp.become(
            "Milan",
            cpuid: [0x19, 1, 1],
            levels: snp.levels,
            tcb: [10, 1, 0, 0, 0, 0, 23, 200]
        )
        let pin = Digest.sha256(snp.ark.spki)
        let genoa: Change = {
            $0.roots = [.milan: [pin]]
            $0.products = [.genoa: FakeSNPPolicy.anything]
        }
        #expect(try code(snp, genoa) == "snp.product.refused")
        #expect(try code(snp, { $0.roots = [.milan: [pin]] }) == "admitted")
    }

    @Test func everyTCBHasItsFloor() throws {
        let level = SNPTCB(bootloader: 10, tee: 1, snp: 23, microcode: 200)
        let higher = [
            SNPTCB(bootloader: 11, tee: 1, snp: 23, microcode: 200),
            SNPTCB(bootloader: 10, tee: 2, snp: 23, microcode: 200),
            SNPTCB(bootloader: 10, tee: 1, snp: 24, microcode: 200),
            SNPTCB(bootloader: 10, tee: 1, snp: 23, microcode: 201),
            // A floor for another product has nothing to compare with.
            SNPTCB(fmc: 0, bootloader: 0, tee: 0, snp: 0, microcode: 0),
        ]
        let snp = try FakeSNP()
        for floor in higher.map(SNPPolicy.Floor.atLeast) {
            #expect(
                try code(snp, { $0.products = floors(current: floor) }) == "snp.tcb.current")
            #expect(
                try code(snp, { $0.products = floors(committed: floor) }) == "snp.tcb.committed")
            #expect(
                try code(snp, { $0.products = floors(reported: floor) }) == "snp.tcb.reported")
            #expect(try code(snp, { $0.products = floors(launch: floor) }) == "snp.tcb.launch")
        }
        let all = floors(
            current: .atLeast(level), committed: .atLeast(level), reported: .atLeast(level),
            launch: .atLeast(level))
        #expect(try code(snp, { $0.products = all }) == "admitted")
    }

    @Test func provisionalFirmwareIsRefusedUnlessAllowed() throws {
        let committed = try FakeSNP()
        #expect(try code(committed, { $0.allowsProvisionalFirmware = false }) == "admitted")
        for (offset, value): (Int, UInt8) in [(0x1E6, 22), (0x1EC, 39), (0x1ED, 54), (0x1EE, 0)] {
            var snp = committed
            snp.set(offset, [value])
            let code = try code(snp, { $0.allowsProvisionalFirmware = false })
            #expect(code == "snp.firmware.provisional")
            #expect(try self.code(snp) == "admitted")
        }
    }

    @Test func everyFeatureIsAsked() throws {
        let hard: [(String, Int, UInt8, Change)] = [
            ("snp.policy.single_socket", 0x0A, 0x13, { $0.singleSocket = .required }),
            ("snp.policy.aes_xts", 0x0A, 0x43, { $0.aesXTS = .required }),
            ("snp.policy.rapl_disabled", 0x0A, 0x83, { $0.raplDisabled = .required }),
            ("snp.policy.ciphertext_hiding", 0x0B, 1, { $0.ciphertextHiding = .required }),
            ("snp.policy.page_swap_disabled", 0x0B, 2, { $0.pageSwapDisabled = .required }),
        ]
        for (wanted, offset, value, change) in hard {
            var snp = try FakeSNP()
            #expect(try code(snp, change) == wanted)
            snp.set(offset, [value])
            #expect(try code(snp, change) == "admitted", "\(wanted)")
        }
        var snp = try FakeSNP()
        #expect(try code(snp, { $0.smt = .refused }) == "snp.policy.smt")
        #expect(try code(snp, { $0.abi = .atLeast(0x0103) }) == "snp.policy.abi")
        #expect(try code(snp, { $0.abi = .atLeast(0x0102) }) == "admitted")
        #expect(try code(snp, { $0.aliasCheck = .required }) == "admitted")
        snp.set(0x40, [0x01])
        #expect(try code(snp, { $0.aliasCheck = .required }) == "snp.alias_check")
        snp.set(0x0A, [0x22])
        #expect(try code(snp, { $0.cxl = .refused }) == "snp.policy.cxl")
        #expect(try code(snp, { $0.smt = .refused }) == "admitted")
        snp.set(0x0A, [0x02])
        #expect(try code(snp, { $0.cxl = .refused }) == "admitted")
    }
}
