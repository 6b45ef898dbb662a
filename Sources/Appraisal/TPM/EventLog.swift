internal import Bytes
internal import Keys
public import RATS

/// A crypto-agile event log: TCG PC Client Platform Firmware Profile, section 10.
public struct EventLog: Sendable {
    /// One measurement, TCG_PCR_EVENT2.
    public struct Event: Sendable, Equatable {
        /// The register that it was extended into.
        public let register: Int
        /// The type, section 10.4.1.
        public let type: UInt32
        /// The digest for each bank, by TPM_ALG_ID.
        public let digests: [UInt16: [UInt8]]
        /// What was measured, or words about it.
        public let data: [UInt8]
    }

    /// The most bytes of a log: real ones have 20 to 100 KiB, and the frame has 1 MiB for all.
    public static let maxSize = 512 * 1024
    /// EV_NO_ACTION: feeds no register.
    static let noAction: UInt32 = 3
    // EV_SEPARATOR, EV_ACTION, EV_EFI_VARIABLE_DRIVER_CONFIG, EV_EFI_GPT_EVENT, EV_EFI_ACTION:
    // the digest is that of the data, in every firmware seen.
    private static let measuredAsIs: Set<UInt32> = [4, 5, 0x8000_0001, 0x8000_0006, 0x8000_0007]

    /// The measurements in order, those that feed no register left out.
    public let events: [Event]
    /// The locality of the startup, which PCR 0 begins with.
    let startupLocality: UInt8

    /// Reads a log as `binary_bios_measurements` gives it, little-endian.
    public init(_ bytes: [UInt8]) throws(Refusal) {
        self = try TPMStructure.read("event log", bytes, limit: EventLog.maxSize) {
            reader throws(ReadError) in
            try EventLog(body: &reader)
        }
    }

    private init?(body reader: inout Reader) throws(ReadError) {
        guard let sizes = try EventLog.header(&reader) else { return nil }
        var events: [Event] = []
        var locality: UInt8 = 0
        while !reader.isAtEnd {
            guard let event = try EventLog.event(&reader, sizes) else { return nil }
            if event.type != EventLog.noAction {
                events.append(event)
            } else if event.data.starts(with: Array("StartupLocality\0".utf8)),
                event.data.count == 17
            {
                locality = event.data[16]
            }
        }
        self.events = events
        startupLocality = locality
    }

    /// What each register of `bank` holds after every event; only registers that were extended.
    public func replay(_ bank: PCRBank) throws(Refusal) -> [Int: [UInt8]] {
        var values: [Int: [UInt8]] = [:]
        for event in events {
            guard let digest = event.digests[bank.algorithm] else {
                throw EventLog.refusal(
                    "tpm.event_log.bank",
                    "a digest for \(bank.rawValue)",
                    "an event without one"
                )
            }
            let isMeasuredAsIs = EventLog.measuredAsIs.contains(event.type)
            guard !isMeasuredAsIs || bank.digest.hash(event.data) == digest else {
                throw EventLog.refusal(
                    "tpm.event_log.digest",
                    "the digest of the event's data",
                    "another, in PCR \(event.register), type \(String(event.type, radix: 16))"
                )
            }
            let start = values[event.register] ?? initial(event.register, bank.digest.size)
            values[event.register] = bank.digest.hash(start + digest)
        }
        return values
    }

    // PCR 17 to 22 begin with ones until a dynamic launch: TCG PC Client Platform TPM Profile.
    private func initial(_ register: Int, _ size: Int) -> [UInt8] {
        var value = [UInt8](repeating: (17...22).contains(register) ? 0xFF : 0, count: size)
        if register == 0 { value[size - 1] = startupLocality }
        return value
    }

    // TCG_PCR_EVENT with TCG_EfiSpecIdEvent, section 10.4.5.1: the banks and their sizes.
    private static func header(_ reader: inout Reader) throws(ReadError) -> [UInt16: Int]? {
        guard try reader.u32LittleEndian() == 0, try reader.u32LittleEndian() == noAction
        else { return nil }
        _ = try reader.take(20)
        var inner = Reader(try reader.take(Int(try reader.u32LittleEndian())))
        guard try inner.take(16) == Array("Spec ID Event03\0".utf8) else { return nil }
        _ = try inner.take(8)
        let count = try inner.u32LittleEndian()
        guard (1...16).contains(count) else { return nil }
        var sizes: [UInt16: Int] = [:]
        for _ in 0..<count {
            let algorithm = try inner.u16LittleEndian()
            let size = Int(try inner.u16LittleEndian())
            guard (20...64).contains(size), sizes.updateValue(size, forKey: algorithm) == nil
            else { return nil }
        }
        _ = try inner.take(Int(try inner.u8()))
        guard inner.isAtEnd,
            PCRBank.allCases.allSatisfy({ sizes[$0.algorithm] ?? $0.digest.size == $0.digest.size })
        else { return nil }
        return sizes
    }

    private static func event(
        _ reader: inout Reader,
        _ sizes: [UInt16: Int]
    ) throws(ReadError) -> Event? {
        let register = try reader.u32LittleEndian()
        let type = try reader.u32LittleEndian()
        let count = try reader.u32LittleEndian()
        guard register < 24 else { return nil }
        var digests: [UInt16: [UInt8]] = [:]
        for _ in 0..<count {
            let algorithm = try reader.u16LittleEndian()
            guard let size = sizes[algorithm] else { return nil }
            guard digests.updateValue(try reader.take(size), forKey: algorithm) == nil
            else { return nil }
        }
        let data = try reader.take(Int(try reader.u32LittleEndian()))
        return Event(register: Int(register), type: type, digests: digests, data: data)
    }

    static func refusal(_ code: String, _ expected: String, _ got: String) -> Refusal {
        Refusal(
            code,
            .evidence,
            kind: "tpm",
            field: "event log",
            expected: expected,
            got: got,
            remedy: "the log does not tell what was measured; look at the machine"
        )
    }
}
