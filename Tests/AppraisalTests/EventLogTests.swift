import Bytes
import Keys
import RATS
import Testing

@testable import Appraisal

/// Writes logs as firmware does.
struct LogWriter {
    var bytes: [UInt8] = []

    init(banks: [(UInt16, UInt16)] = [(0x000B, 32)], trailing: [UInt8] = []) {
        var inner = Array("Spec ID Event03\0".utf8) + [0, 0, 0, 0, 0, 2, 0, 2]
        inner += LogWriter.u32(UInt32(banks.count))
        for (algorithm, size) in banks { inner += LogWriter.u16(algorithm) + LogWriter.u16(size) }
        inner.append(0)
        inner += trailing
        bytes = LogWriter.u32(0) + LogWriter.u32(3) + [UInt8](repeating: 0, count: 20)
        bytes += LogWriter.u32(UInt32(inner.count)) + inner
    }

    mutating func event(_ register: UInt32, type: UInt32, data: [UInt8], digest: [UInt8]? = nil) {
        bytes += LogWriter.u32(register) + LogWriter.u32(type) + LogWriter.u32(1)
        bytes += LogWriter.u16(0x000B) + (digest ?? Digest.sha256(data))
        bytes += LogWriter.u32(UInt32(data.count)) + data
    }

    static func u16(_ value: UInt16) -> [UInt8] { [UInt8(value & 0xFF), UInt8(value >> 8)] }
    static func u32(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
    }
}

struct EventLogTests {
    private let zero = [UInt8](repeating: 0, count: 32)

    @Test func aLogReplaysToItsRegisters() throws {
        var log = LogWriter()
        log.event(0, type: 3, data: Array("StartupLocality\0".utf8) + [3])
        log.event(0, type: 8, data: [1])
        log.event(7, type: 4, data: [0, 0, 0, 0])
        log.event(7, type: 0x8000_0003, data: [9], digest: zero)
        let replayed = try EventLog(log.bytes).replay(.sha256)
        var start = zero
        start[31] = 3
        #expect(replayed[0] == Digest.sha256(start + Digest.sha256([1])))
        let separator = Digest.sha256(zero + Digest.sha256([0, 0, 0, 0]))
        #expect(replayed[7] == Digest.sha256(separator + zero))
        #expect(replayed.count == 2)
    }

    @Test func logsThatLieAreRefused() throws {
        var lie = LogWriter()
        lie.event(7, type: 4, data: [0, 0, 0, 0], digest: zero)
        let refusal = #expect(throws: Refusal.self) { try EventLog(lie.bytes).replay(.sha256) }
        #expect(refusal?.code == "tpm.event_log.digest")
        var log = LogWriter()
        log.event(7, type: 4, data: [0])
        let other = #expect(throws: Refusal.self) { try EventLog(log.bytes).replay(.sha384) }
        #expect(other?.code == "tpm.event_log.bank")
        for cut in 1..<log.bytes.count {
            let head = Array(log.bytes[..<cut])
            let isWhole = cut == LogWriter().bytes.count
            if isWhole { continue }
            #expect(throws: Refusal.self, "cut at \(cut)") { try EventLog(head) }
        }
        #expect(throws: Refusal.self) { try EventLog(LogWriter(banks: [(0x000B, 20)]).bytes) }
        #expect(throws: Refusal.self) { try EventLog(LogWriter(banks: []).bytes) }
        for size: UInt16 in [19, 65] {
            let banks: [(UInt16, UInt16)] = [(0x000B, 32), (0x00FF, size)]
            #expect(throws: Refusal.self) { try EventLog(LogWriter(banks: banks).bytes) }
        }
        #expect(throws: Never.self) {
            try EventLog(LogWriter(banks: [(0x000B, 32), (0x00FF, 64), (4, 20)]).bytes)
        }
        #expect(throws: Refusal.self) { try EventLog(LogWriter(trailing: [0]).bytes) }
        var twice = LogWriter()
        twice.bytes += LogWriter.u32(7) + LogWriter.u32(8) + LogWriter.u32(2)
        for _ in 0..<2 { twice.bytes += LogWriter.u16(0x000B) + zero }
        twice.bytes += LogWriter.u32(0)
        #expect(throws: Refusal.self) { try EventLog(twice.bytes) }
        var full = LogWriter()
        full.event(23, type: 8, data: [])
        let left = EventLog.maxSize - full.bytes.count - 4 * 4 - 2 - 32
        full.event(0, type: 8, data: [UInt8](repeating: 0, count: left))
        #expect(full.bytes.count == EventLog.maxSize)
        #expect(throws: Never.self) { try EventLog(full.bytes) }
        #expect(throws: Refusal.self) {
            try TPMStructure.read("x", [0, 0], limit: 1) { reader throws(ReadError) in
                try reader.take(2)
            }
        }
        var wide = LogWriter()
        wide.event(24, type: 4, data: [])
        #expect(throws: Refusal.self) { try EventLog(wide.bytes) }
    }

    @Test func theLogMustLeadToTheQuotedRegisters() throws {
        var log = LogWriter()
        log.event(0, type: 8, data: [1])
        log.event(7, type: 4, data: [0, 0, 0, 0])
        var tpm = try FakeTPM()
        tpm.values = try EventLog(log.bytes).replay(.sha256)
        tpm.eventLog = log.bytes
        var policy = FakePolicy(tpm)
        policy.pcrs = [0: .any, 7: .any]
        policy.eventLog = .replayed
        #expect(try code(tpm, policy) == nil)
        log.event(7, type: 8, data: [2])
        tpm.eventLog = log.bytes
        #expect(try code(tpm, policy) == "tpm.event_log.mismatch")
        tpm.eventLog = [1]
        #expect(try code(tpm, policy) == "tpm.malformed")
    }

    private func code(_ tpm: FakeTPM, _ policy: FakePolicy) throws -> String? {
        do {
            _ = try Appraiser.appraise(
                Appraiser.Submission(
                    evidence: [tpm.evidence()],
                    endorsements: [],
                    configuration: Array("{}".utf8)
                ),
                expected: Appraiser.ExpectedBinding(
                    reportData: [UInt8](repeating: 0, count: 64),
                    tpmQualifyingData: tpm.qualifyingData
                ),
                policy: policy.policy,
                now: 0
            )
            return nil
        } catch let refusal as Refusal {
            return refusal.code
        }
    }
}
