import Keys
import RATS
import Testing

@testable import Appraisal

/// Event logs of dstack: which events lead to which register, and what is refused of them.
struct DstackEventLogTests {
    private static let initial = [UInt8](repeating: 0, count: 48)
    private static let runtimeType: UInt32 = 0x0800_0001

    private func event(
        _ register: UInt32, type: UInt32 = runtimeType, digest: [UInt8] = []
    ) -> DstackEventLog.Event {
        DstackEventLog.Event(
            register: register, type: type, digest: digest, name: "app-id", payload: [1])
    }

    /// The code of the refusal, or the names of the claims.
    private func check(
        _ events: [DstackEventLog.Event], isWhole: Bool = false, _ registers: [Int: [UInt8]]
    ) throws -> String {
        var quote = try FakeQuote(covering: [])
        for (index, value) in registers { quote.registers[index] = value }
        let read = try DCAPQuote(try quote.bytes())
        do throws(Refusal) {
            let claims = try DstackEventLog(events: events, isWhole: isWhole).check(read)
            return claims.entries.map(\.name).joined(separator: " ")
        } catch {
            return error.code
        }
    }

    private func extended(_ digest: [UInt8]) -> [UInt8] {
        Digest.sha384(DstackEventLogTests.initial + digest)
    }

    @Test func itsOwnRegisterHasRuntimeEventsAlone() throws {
        let own = event(3)
        #expect(try check([own], [3: extended(own.runtimeDigest)]) == "event_log.rtmr3")
        // Of another type, though its digest would lead to the register.
        let other = event(3, type: 4)
        #expect(
            try check([other], [3: extended(other.runtimeDigest)]) == "dstack.event_log.malformed")
        // A log that has none of it says nothing.
        let some = [UInt8](repeating: 7, count: 48)
        #expect(try check([], [3: some]).isEmpty)
        #expect(try check([event(0, digest: some)], [3: some]).isEmpty)
    }

    @Test func aWholeLogLeadsToTheFirmwaresRegisters() throws {
        let own = event(3)
        let digest = [UInt8](repeating: 5, count: 48)
        func outcome(_ digest: [UInt8], _ registers: [Int: [UInt8]]) throws -> String {
            try check(
                [event(0, type: 4, digest: digest), own], isWhole: true,
                registers.merging([3: extended(own.runtimeDigest)]) { first, _ in first })
        }
        #expect(try outcome(digest, [0: extended(digest)]) == "event_log.rtmr3")
        // Registers that it has no event of are not its own to explain.
        #expect(try outcome(digest, [0: extended(digest), 1: digest]) == "event_log.rtmr3")
        #expect(try outcome(digest, [0: digest]) == "dstack.event_log.register")
        let short = Array(digest.dropLast())
        #expect(try outcome(short, [0: extended(short)]) == "dstack.event_log.malformed")
    }

    @Test func aLogInJSONHasItsLimits() {
        func item(_ version: JSONValue?) -> JSONValue {
            .members(
                [
                    ("imr", .integer(3)), ("event_type", .integer(134_217_729)),
                    ("digest", .string("")), ("event", .string("app-id")),
                    ("event_payload", .string("01")),
                ] + (version.map { [("version", $0)] } ?? []))
        }
        let versions: [(JSONValue?, UInt64?)] = [
            (nil, 1), (.integer(1), 1), (.integer(2), 2), (.integer(0), nil), (.integer(-1), nil),
            (.string("1"), nil),
        ]
        for (version, read) in versions {
            let log = DstackEventLog(json: [item(version)], isWhole: false)
            #expect(log?.events[0].version == read)
        }
        for (count, isRead) in [(1_024, true), (1_025, false)] {
            let items = [JSONValue](repeating: item(nil), count: count)
            #expect((DstackEventLog(json: items, isWhole: false) != nil) == isRead)
        }
    }
}
