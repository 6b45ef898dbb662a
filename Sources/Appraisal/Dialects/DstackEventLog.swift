internal import Keys
internal import RATS

/// The event log of a dstack trust domain: what its software extended RTMR3 with at boot.
///
/// The digest of a runtime event is worked out from its name and payload, never taken from the log
/// (dstack, `cc-eventlog`): SHA-384(event type u32 LE ‖ ":" ‖ name ‖ ":" ‖ payload), or from
/// version 2 on SHA-384 of canonical JSON (RFC 8785) `{"name", "payload": hex, "type"}`. The other
/// registers belong to the firmware, whose payloads are not what it hashed: their digests as logged
/// have to lead to the register, and nothing is told of what they say.
struct DstackEventLog {
    /// One event.
    struct Event: Equatable {
        /// Which register, from 0.
        let register: UInt32
        let type: UInt32
        /// As logged; empty where the log leaves it out.
        let digest: [UInt8]
        let name: String
        let payload: [UInt8]
        /// How its digest is made: 1 or 2.
        var version: UInt64 = 1

        var isRuntime: Bool { type == DstackEventLog.runtimeType }

        /// What a runtime event extends its register with.
        var runtimeDigest: [UInt8] {
            let type: [UInt8] = (0..<4).map { UInt8(truncatingIfNeeded: self.type >> (8 * $0)) }
            let colon = [UInt8(ascii: ":")]
            return Digest.sha384(
                version == 1
                    ? type + colon + Array(name.utf8) + colon + payload
                    : DstackEventLog.canonical(name: name, payload: payload, type: self.type))
        }
    }

    /// DSTACK_RUNTIME_EVENT_TYPE; the TCG assigns none.
    static let runtimeType: UInt32 = 0x0800_0001
    /// Events of one log: firmware has some 30, dstack some 10 and one for each script.
    static let maxEvents = 1_024
    private static let ownRegister: UInt32 = 3
    private static let initial = [UInt8](repeating: 0, count: 48)

    let events: [Event]

    /// Whether digests of the firmware's events are there to be replayed: stripped logs keep only
    /// some of them.
    let isWhole: Bool

    /// Checks that the log leads to the registers of `quote`, and says what its runtime events are.
    func check(_ quote: DCAPQuote) throws(Refusal) -> Claims {
        guard case .tdx(let report) = quote.body else {
            throw DstackEventLog.refusal("quote", "a TDX quote, which has registers", "SGX")
        }
        var claims = Claims()
        let own = events.filter { $0.register == DstackEventLog.ownRegister }
        guard !own.isEmpty else { return claims }
        var value = DstackEventLog.initial
        var told: [Claims.Value] = []
        for event in own {
            guard event.isRuntime, event.version == 1 || event.version == 2 else {
                throw DstackEventLog.refusal(
                    "event of RTMR3", "a runtime event, whose digest follows from it",
                    "type \(event.type), version \(event.version)")
            }
            let digest = event.runtimeDigest
            guard event.digest.isEmpty || event.digest == digest else {
                throw DstackEventLog.refusal(
                    "digest of event \(event.name)", Hex.encode(digest), Hex.encode(event.digest))
            }
            value = Digest.sha384(value + digest)
            told.append(.text("\(event.name) \(Hex.encode(event.payload))"))
        }
        try DstackEventLog.compare(value, report.rtmr[3], 3)
        if isWhole { try checkFirmware(report) }
        claims.set("event_log.rtmr3", .list(told))
        return claims
    }

    private func checkFirmware(_ report: TDReport) throws(Refusal) {
        for register in 0..<3 {
            let digests = events.filter { $0.register == UInt32(register) }.map(\.digest)
            guard !digests.isEmpty else { continue }
            var value = DstackEventLog.initial
            for digest in digests {
                guard digest.count == 48 else {
                    throw DstackEventLog.refusal(
                        "digest of RTMR\(register)", "48 bytes", "\(digest.count)")
                }
                value = Digest.sha384(value + digest)
            }
            try DstackEventLog.compare(value, report.rtmr[register], register)
        }
    }

    private static func compare(
        _ replayed: [UInt8], _ quoted: [UInt8], _ register: Int
    ) throws(Refusal) {
        guard ConstantTime.equal(replayed, quoted) else {
            throw Refusal(
                "dstack.event_log.register", .evidence, kind: "tdx", field: "RTMR\(register)",
                expected: Hex.encode(quoted), got: Hex.encode(replayed),
                remedy: "the event log is not of this quote, or was changed")
        }
    }

    static func refusal(_ field: String, _ expected: String, _ got: String) -> Refusal {
        Refusal(
            "dstack.event_log.malformed", .evidence, kind: "tdx", field: field,
            expected: expected, got: got, remedy: "the event log is not as dstack writes it")
    }

    // RFC 8785 section 3.2.2.2: as ECMAScript writes strings; names sort before payload and type.
    private static func canonical(name: String, payload: [UInt8], type: UInt32) -> [UInt8] {
        var text = "{\"name\":\""
        for scalar in name.unicodeScalars {
            switch scalar.value {
            case 0x22: text += "\\\""
            case 0x5C: text += "\\\\"
            case 0x08: text += "\\b"
            case 0x09: text += "\\t"
            case 0x0A: text += "\\n"
            case 0x0C: text += "\\f"
            case 0x0D: text += "\\r"
            case 0..<0x20: text += "\\u00" + Hex.encode([UInt8(scalar.value)])
            default: text.unicodeScalars.append(scalar)
            }
        }
        return Array("\(text)\",\"payload\":\"\(Hex.encode(payload))\",\"type\":\(type)}".utf8)
    }
}

extension DstackEventLog {
    /// Reads a log in JSON: `[{imr, event_type, digest, event, event_payload, ?version}]`, bytes in
    /// hexadecimal; nil where it is none.
    init?(json items: [JSONValue], isWhole: Bool) {
        guard items.count <= DstackEventLog.maxEvents else { return nil }
        var events: [Event] = []
        for item in items {
            guard let register = item["imr"]?.integer.flatMap({ UInt32(exactly: $0) }),
                let type = item["event_type"]?.integer.flatMap({ UInt32(exactly: $0) }),
                let digest = (item["digest"]?.text ?? "").decodedHex,
                let name = item["event"]?.text,
                let payload = item["event_payload"]?.text?.decodedHex
            else { return nil }
            let version = item["version"].map { $0.integer ?? 0 } ?? 1
            guard version > 0 else { return nil }
            events.append(
                Event(
                    register: register, type: type, digest: digest, name: name,
                    payload: payload, version: UInt64(version)))
        }
        self.init(events: events, isWhole: isWhole)
    }
}

extension String {
    fileprivate var decodedHex: [UInt8]? { Hex.decode(self) }
}
