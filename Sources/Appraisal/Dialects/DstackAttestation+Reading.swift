internal import Keys

// The two encodings of dstack's attestation, each field in the order of the structures in
// dstack's `dstack-attest` and `tpm-types`.

extension DstackAttestation {
    /// Certificates beside an SNP report: a chain of three, and as many again.
    private static let maxCertificates = 12

    /// Version 0; nil where it is none, or bytes follow.
    init?(scale bytes: [UInt8]) {
        var reader = ScaleReader(bytes)
        guard reader.u8() == 0, let variant = reader.u8(),
            let platform = DstackAttestation.platform(variant, &reader),
            let events = reader.list(
                limit: DstackEventLog.maxEvents, DstackAttestation.runtimeEvent),
            let reportData = reader.fixed(64), reader.text() != nil, reader.isAtEnd
        else { return nil }
        self.init(platform: platform, runtimeEvents: events, reportData: reportData)
    }

    private static func platform(_ variant: UInt8, _ reader: inout ScaleReader) -> Platform? {
        switch variant {
        case 0, 1:
            guard let quote = reader.bytes(),
                let events = reader.list(limit: DstackEventLog.maxEvents, logged)
            else { return nil }
            if variant == 1, !skipTPMQuote(&reader) { return nil }
            return .quote(
                quote, DstackEventLog(events: events, isWhole: false), hasTPM: variant == 1)
        case 2: return reader.bytes().map { .document($0) }
        case 3:
            guard let report = reader.bytes(),
                let certificates = reader.list(limit: maxCertificates, { $0.bytes() }),
                reader.text() != nil
            else { return nil }
            return .report(report, certificates: certificates)
        case 4: return reader.bytes().map { _ in .nitroTPM }
        default: return nil
        }
    }

    private static func logged(_ reader: inout ScaleReader) -> DstackEventLog.Event? {
        guard let register = reader.u32(), let type = reader.u32(), let digest = reader.bytes(),
            let name = reader.text(), let payload = reader.bytes()
        else { return nil }
        return DstackEventLog.Event(
            register: register, type: type, digest: digest, name: name, payload: payload)
    }

    private static func runtimeEvent(_ reader: inout ScaleReader) -> DstackEventLog.Event? {
        guard let name = reader.text(), let payload = reader.bytes() else { return nil }
        return runtimeEvent(name, payload, version: 1)
    }

    private static func runtimeEvent(
        _ name: String, _ payload: [UInt8], version: UInt64
    ) -> DstackEventLog.Event {
        DstackEventLog.Event(
            register: 3, type: DstackEventLog.runtimeType, digest: [], name: name,
            payload: payload, version: version)
    }

    // TpmQuote: message, signature, PCR values, certificate, platform, events.
    private static func skipTPMQuote(_ reader: inout ScaleReader) -> Bool {
        func value(_ reader: inout ScaleReader) -> Bool? {
            reader.u32() != nil && reader.text() != nil && reader.bytes() != nil ? true : nil
        }
        func event(_ reader: inout ScaleReader) -> Bool? {
            reader.u32() != nil && reader.bytes() != nil ? true : nil
        }
        return reader.bytes() != nil && reader.bytes() != nil
            && reader.list(limit: 24 * 4, value) != nil && reader.bytes() != nil
            && reader.u8() != nil && reader.list(limit: DstackEventLog.maxEvents, event) != nil
    }

    /// Version 1: `{version, platform: {kind, data}, stack: {kind, data}}`; members that are not
    /// known say nothing here.
    init?(messagePack value: MessagePack) {
        guard let platform = value["platform"], let kind = platform["kind"]?.text,
            let data = platform["data"], let stack = value["stack"],
            ["dstack", "dstack-pod"].contains(stack["kind"]?.text), let said = stack["data"],
            let reportData = said["report_data"]?.octets, reportData.count == 64,
            let list = said["runtime_events"]?.items, list.count <= DstackEventLog.maxEvents
        else { return nil }
        var events: [DstackEventLog.Event] = []
        for item in list {
            guard let name = item["event"]?.text, let payload = item["payload"]?.octets,
                let version = DstackAttestation.version(item)
            else { return nil }
            events.append(DstackAttestation.runtimeEvent(name, payload, version: version))
        }
        guard let read = DstackAttestation.platform(kind, data) else { return nil }
        self.init(platform: read, runtimeEvents: events, reportData: reportData)
    }

    private static func platform(_ kind: String, _ data: MessagePack) -> Platform? {
        switch kind {
        case "tdx", "gcp-tdx":
            guard let quote = data["quote"]?.octets, let list = data["event_log"]?.items,
                list.count <= DstackEventLog.maxEvents
            else { return nil }
            var events: [DstackEventLog.Event] = []
            for item in list {
                guard let event = logged(item) else { return nil }
                events.append(event)
            }
            return .quote(
                quote, DstackEventLog(events: events, isWhole: false), hasTPM: kind == "gcp-tdx")
        case "sev-snp":
            guard let report = data["report"]?.octets, let list = data["cert_chain"]?.items,
                list.count <= maxCertificates
            else { return nil }
            var certificates: [[UInt8]] = []
            for item in list {
                guard let certificate = item.octets else { return nil }
                certificates.append(certificate)
            }
            return .report(report, certificates: certificates)
        case "nitro-enclave": return data["nsm_quote"]?.octets.map { .document($0) }
        case "aws-nitro-tpm": return data["attestation_doc"]?.octets.map { _ in .nitroTPM }
        default: return nil
        }
    }

    private static func logged(_ item: MessagePack) -> DstackEventLog.Event? {
        guard let register = item["imr"]?.number.flatMap({ UInt32(exactly: $0) }),
            let type = item["event_type"]?.number.flatMap({ UInt32(exactly: $0) }),
            let name = item["event"]?.text, let payload = item["event_payload"]?.octets,
            let version = version(item)
        else { return nil }
        var digest: [UInt8] = []
        if let value = item["digest"] {
            guard let octets = value.octets else { return nil }
            digest = octets
        }
        return DstackEventLog.Event(
            register: register, type: type, digest: digest, name: name, payload: payload,
            version: version)
    }

    private static func version(_ item: MessagePack) -> UInt64? {
        guard let version = item["version"] else { return 1 }
        return version.number
    }
}
