internal import Keys
internal import RATS

/// id-pe-cmw of RFC 9999: `CHOICE {json UTF8String, cbor OCTET STRING}`, a record or a collection.
///
/// The Evidence covers the certificate's key as `StaticBinding` says: the RFC leaves that to each
/// media type, and those read here are Ratel's.
enum CMWExtension {
    /// One record: `[media type, bytes, ?indicator]`.
    private struct Record {
        let label: String
        let mediaType: String
        let bytes: [UInt8]
        /// Which kinds of conceptual message are in it; nil where the media type alone says so.
        let indicator: UInt64?

        // RFC 9999, cm-type: bit 1 Endorsements, bit 2 Evidence.
        var isEndorsement: Bool { indicator == 2 }
        var isEvidence: Bool { indicator.map { $0 & 4 != 0 } ?? true }
    }

    /// 16 GPUs, their switches, a CPU and a vTPM come to below 32 (`Appraiser.maxEvidence`), and
    /// each has at most a chain beside it.
    private static let maxRecords = 64
    /// Characters of a media type: RFC 6838 section 4.2 asks for at most 127 before parameters.
    private static let maxMediaType = 128
    /// A collection inside a collection inside a collection, for forwarders.
    private static let maxDepth = 4

    static func read(
        _ content: [UInt8], _ place: String, _ certificate: Certificate
    ) throws(Refusal) -> CarriedEvidence {
        let records = try read(content)
        let evidence = try pieces(records.filter(\.isEvidence))
        guard !evidence.isEmpty else { throw AttestedLeaf.malformed(.cmw) }
        let binding = StaticBinding(spki: certificate.spki)
        return CarriedEvidence(
            .cmw, place,
            formula: "report_data = SHA-256(claims), pubkey-hash = SHA-256(SubjectPublicKeyInfo)",
            evidence: evidence,
            endorsements: records.filter(\.isEndorsement).map {
                Endorsement(mediaType: $0.mediaType, bytes: $0.bytes)
            },
            expected: binding.expected(of: evidence))
    }

    private static func read(_ content: [UInt8]) throws(Refusal) -> [Record] {
        var reader = DERReader(content)
        guard let element = try? reader.next(), reader.isAtEnd else {
            throw AttestedLeaf.malformed(.cmw)
        }
        var records: [Record] = []
        switch element.tag {
        case 0x04:
            guard let value = try? CBORDecoder.decode(element.content, rules: .anyOrder) else {
                throw AttestedLeaf.malformed(.cmw)
            }
            try collect(value, label: "", depth: 0, into: &records)
        case 0x0C:
            guard let value = JSONParser.parse(element.content) else {
                throw AttestedLeaf.malformed(.cmw)
            }
            try collect(value, label: "", depth: 0, into: &records)
        default: throw AttestedLeaf.malformed(.cmw)
        }
        return records
    }

    private static func collect(
        _ value: CBORValue, label: String, depth: Int, into records: inout [Record]
    ) throws(Refusal) {
        guard depth < maxDepth, records.count < maxRecords else {
            throw AttestedLeaf.malformed(.cmw)
        }
        if let items = value.items {
            guard (2...3).contains(items.count), let type = items[0].textString,
                let bytes = items[1].byteString,
                items.count == 2 || items[2].number != nil
            else { throw AttestedLeaf.malformed(.cmw) }
            return try append(
                Record(
                    label: label, mediaType: type, bytes: bytes,
                    indicator: items.count == 3 ? items[2].number : nil), to: &records)
        }
        guard let entries = value.entries else { throw AttestedLeaf.malformed(.cmw) }
        for entry in entries where entry.key.textString != collectionType {
            let name = entry.key.textString ?? entry.key.number.map { "\($0)" }
            guard let name else { throw AttestedLeaf.malformed(.cmw) }
            try collect(entry.value, label: name, depth: depth + 1, into: &records)
        }
    }

    private static func collect(
        _ value: JSONValue, label: String, depth: Int, into records: inout [Record]
    ) throws(Refusal) {
        guard depth < maxDepth, records.count < maxRecords else {
            throw AttestedLeaf.malformed(.cmw)
        }
        if let items = value.items {
            guard (2...3).contains(items.count), let type = items[0].text,
                let bytes = items[1].text.flatMap(Base64.decode(url:)),
                items.count == 2 || items[2].integer ?? -1 >= 0
            else { throw AttestedLeaf.malformed(.cmw) }
            let indicator = items.count == 3 ? items[2].integer.map { UInt64($0) } : nil
            return try append(
                Record(label: label, mediaType: type, bytes: bytes, indicator: indicator),
                to: &records)
        }
        guard let members = value.members else { throw AttestedLeaf.malformed(.cmw) }
        for member in members where member.name != collectionType {
            try collect(member.value, label: member.name, depth: depth + 1, into: &records)
        }
    }

    // The name under which a collection says its own type, RFC 9999 section 3.3.
    private static let collectionType = "__cmwc_t"

    private static func append(_ record: Record, to records: inout [Record]) throws(Refusal) {
        guard record.mediaType.utf8.count <= maxMediaType, !record.bytes.isEmpty else {
            throw AttestedLeaf.malformed(.cmw)
        }
        records.append(record)
    }

    // Labels of Ratel are "KIND.INDEX"; those of others say nothing, and pieces are counted.
    private static func pieces(_ records: [Record]) throws(Refusal) -> [Evidence] {
        var counts: [EvidenceKind: UInt16] = [:]
        var evidence: [Evidence] = []
        for record in records {
            guard let format = EvidenceFormat(mediaType: record.mediaType) else {
                throw AttestedLeaf.refusal(
                    "evidence.format.unknown", "media type",
                    EvidenceFormat.allCases.map(\.mediaType).joined(separator: " or "),
                    record.mediaType, "update this side, or have the peer send another")
            }
            let count = counts[format.kind] ?? 0
            counts[format.kind] = count + 1
            evidence.append(
                Evidence(
                    format, index: index(record.label, of: format.kind) ?? count,
                    bytes: record.bytes))
        }
        return evidence
    }

    private static func index(_ label: String, of kind: EvidenceKind) -> UInt16? {
        let parts = label.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == "\(kind.rawValue)" else { return nil }
        return UInt16(parts[1])
    }
}
