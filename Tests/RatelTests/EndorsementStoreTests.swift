import FoundationEssentials
import Keys
import Logging
import RATS
import Testing

@testable import Appraisal
@testable import Bytes
@testable import Loop
@testable import Ratel

/// The store over time: one fetch for all who wait, back-off, refresh, expiry, outages.
struct EndorsementStoreTests {
    /// A source whose answers and pace the test decides.
    private final class Source: CollateralSource, Sendable {
        struct State: Sendable {
            var asked = 0
            var answer: RawCollateral?
            var retryAfter: UInt64?
        }

        let state = Locked(State())
        let gate = Locked<Gate<Bool>?>(nil)
        var name: String { "test source" }
        var asked: Int { state.withLock { $0.asked } }

        func serves(_ need: CollateralNeed) -> Bool { true }

        func fetch(
            _ need: CollateralNeed, deadline: UInt64
        ) throws(CollateralFailure) -> RawCollateral {
            state.withLock { $0.asked += 1 }
            if let gate = gate.withLock({ $0 }) { _ = gate.wait() }
            let (answer, retryAfter) = state.withLock { ($0.answer, $0.retryAfter) }
            guard let answer else { throw CollateralFailure("closed", retryAfter: retryAfter) }
            return answer
        }
    }

    private struct Bench {
        let source = Source()
        let clock = Locked<Int64>(0)
        let uptime = Locked<UInt64>(1)
        let need: CollateralNeed
        let raw: RawCollateral
        let store: EndorsementStore
        let from: Int64
        let until: Int64

        init?() throws {
            let root =
                (ProcessInfo.processInfo.environment["RATEL_SHARED"]
                    ?? Bench.package + "/../shared")
                + "/vectors/tdx/v5-td15-uptodate"
            guard FileManager.default.fileExists(atPath: root) else {
                print("skipped: \(root) is absent")
                return nil
            }
            raw = RawCollateral(endorsements: try EndorsementFolder.read(root))
            let need = CollateralNeed.dcap(
                tee: "tdx", fmspc: Hex.decode("90c06f000000") ?? [], ca: "platform")
            self.need = need
            // verify_at of this vector.
            let at = UTCTime.parse("2026-02-14T00:00:00Z") ?? 0
            let item = try CheckedCollateral(
                need, raw.endorsements, roots: CollateralRoots(), now: at)
            (from, until) = (item.from, item.until)
            clock.withLock { $0 = at }
            let settings = EndorsementStore.Settings(
                sources: [source], now: { [clock] in clock.withLock { $0 } },
                uptime: { [uptime] in uptime.withLock { $0 } })
            store = try EndorsementStore(
                settings, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        }

        private static let package = #filePath.split(separator: "/").dropLast(3)
            .map { "/" + $0 }.joined()

        func answers(_ answer: RawCollateral?, retryAfter: UInt64? = nil) {
            source.state.withLock {
                $0.answer = answer
                $0.retryAfter = retryAfter
            }
        }

        func obtain() {
            let gate = Gate<Bool>()
            store.obtain([need]) { gate.open(true) }
            _ = gate.wait()
        }

        var isAtHand: Bool { store.stock([need], stapled: []).missing.isEmpty }

        func pass(seconds: Int64) {
            clock.withLock { $0 += seconds }
            uptime.withLock { $0 += UInt64(seconds) * 1_000_000_000 }
        }
    }

    @Test func oneFetchServesAllWhoWait() throws {
        guard let bench = try Bench() else { return }
        bench.answers(bench.raw)
        let hold = Gate<Bool>()
        bench.source.gate.withLock { $0 = hold }
        let all = Gate<Bool>()
        let arrived = Locked(0)
        for _ in 0..<50 {
            bench.store.obtain([bench.need]) {
                let count = arrived.withLock { count in
                    count += 1
                    return count
                }
                if count == 50 { all.open(true) }
            }
        }
        hold.open(true)
        _ = all.wait()
        #expect(bench.source.asked == 1)
        #expect(bench.isAtHand)
    }

    @Test func failuresBackOffAndServicesAreLeftAloneAsLongAsTheyAsk() throws {
        guard let bench = try Bench() else { return }
        bench.answers(nil)
        bench.obtain()
        #expect(bench.source.asked == 1)
        // At once again: nobody is asked, nobody waits.
        for _ in 0..<10 { bench.obtain() }
        #expect(bench.source.asked == 1)
        #expect(bench.store.stock([bench.need], stapled: []).trouble == ["closed"])
        // 1 s and up to half of it by chance.
        bench.pass(seconds: 2)
        bench.answers(nil, retryAfter: 120)
        bench.obtain()
        #expect(bench.source.asked == 2)
        bench.pass(seconds: 119)
        bench.obtain()
        #expect(bench.source.asked == 2)
        bench.pass(seconds: 62)
        bench.answers(bench.raw)
        bench.obtain()
        #expect(bench.source.asked == 3)
        #expect(bench.isAtHand)
    }

    @Test func backOffGrowsToAnEnd() {
        for failures in 1...40 {
            let wait = EndorsementStore.backOff(failures, retryAfter: nil)
            let base = min(UInt64(1_000) << UInt64(min(failures - 1, 20)), 600_000)
            #expect((base...base + base / 2).contains(wait))
        }
        // A service that asks for a year gets an hour.
        #expect(EndorsementStore.backOff(1, retryAfter: .max / 2_000) <= 5_400_000)
    }

    @Test func itIsRefreshedAtTwoThirdsAndNeverGivenOutExpired() throws {
        guard let bench = try Bench() else { return }
        bench.answers(bench.raw)
        bench.obtain()
        bench.store.tick()
        #expect(bench.source.asked == 1)
        // Two thirds, and the tenth that keeps a fleet apart.
        let refresh = bench.from + (bench.until - bench.from) / 3 * 2
        bench.clock.withLock { $0 = refresh + (bench.until - bench.from) / 10 + 1 }
        bench.answers(nil)
        bench.store.tick()
        while bench.store.trouble(bench.need) == nil { System.sleep(milliseconds: 1) }
        #expect(bench.source.asked == 2)
        // An outage: what is signed and current goes on to its last second, and no further.
        bench.clock.withLock { $0 = bench.until - 1 }
        #expect(bench.isAtHand)
        #expect(bench.store.firstExpiry == 1)
        bench.clock.withLock { $0 = bench.until }
        #expect(!bench.isAtHand)
        bench.store.tick()
        #expect(bench.store.listing.isEmpty)
    }

    @Test func stapledCollateralHasToBeGood() throws {
        guard let bench = try Bench() else { return }
        let stapled = bench.store.stock([bench.need], stapled: bench.raw.endorsements)
        #expect(stapled.missing.isEmpty)
        #expect(stapled.endorsements == bench.raw.endorsements)
        var bad = try DCAPCollateral(in: bench.raw.endorsements)
        bad.tcbInfo[bad.tcbInfo.count - 10] ^= 1
        let refused = bench.store.stock([bench.need], stapled: [bad.endorsement])
        #expect(refused.missing == [bench.need])
        // It is left for the appraisal, which refuses it by its reason.
        #expect(refused.endorsements == [bad.endorsement])
    }

    @Test func chipsThatNobodyVouchesForAreAskedForAtALimitedRate() throws {
        guard let bench = try Bench() else { return }
        let tcb = SNPTCB(bootloader: 1, tee: 0, snp: 1, microcode: 1)
        func ask(_ chip: UInt8) {
            let gate = Gate<Bool>()
            let need = CollateralNeed.vcek(product: .genoa, chip: [chip], tcb: tcb)
            bench.store.obtain([need]) { gate.open(true) }
            _ = gate.wait()
        }
        bench.pass(seconds: 10)
        for chip in 0..<200 { ask(UInt8(chip)) }
        #expect(bench.source.asked == CollateralTable.maximumChipFetches)
        bench.pass(seconds: 3)
        for chip in 200..<220 { ask(UInt8(chip)) }
        #expect(bench.source.asked == CollateralTable.maximumChipFetches + 3)
    }
}
