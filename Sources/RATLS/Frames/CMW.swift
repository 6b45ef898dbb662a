public import Keys
public import RATS

/// A collection of conceptual messages, RFC 9999: CBOR form, records `[media type, bytes, ind]`.
///
/// Evidence is labelled by kind and index ("3.0" is the first TPM), Endorsements by their place.
public enum CMW {
    /// The indicator bits, RFC 9999: bit 1 for Endorsements, bit 2 for Evidence.
    enum Indicator: UInt64 {
        case endorsements = 2
        case evidence = 4
    }

    /// How many records a collection may have; see `Appraiser.maxEvidence`.
    public static let maxRecords = 32

    /// The collection of all Evidence of one Attester; no two with the same kind and index.
    public static func encode(evidence: [Evidence]) -> CBORValue {
        .named(
            evidence.map {
                ("\($0.kind.rawValue).\($0.index)", record($0.mediaType, $0.bytes, .evidence))
            }
        )
    }

    /// The collection of all Endorsements that go with it.
    public static func encode(endorsements: [Endorsement]) -> CBORValue {
        .named(
            endorsements.enumerated().map {
                ("\($0)", record($1.mediaType, $1.bytes, .endorsements))
            }
        )
    }

    /// Reads a collection of Evidence.
    public static func decodeEvidence(_ value: CBORValue) throws(CBORError) -> [Evidence] {
        var evidence: [Evidence] = []
        for (label, mediaType, bytes) in try records(value, .evidence) {
            let parts = label.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 2, let number = UInt8(parts[0]), let index = UInt16(parts[1]),
                label == "\(number).\(index)", let kind = EvidenceKind(rawValue: number)
            else { throw CBORError(.unknownField, offset: 0) }
            evidence.append(
                Evidence(kind: kind, index: index, mediaType: mediaType, bytes: bytes)
            )
        }
        return evidence
    }

    /// Reads a collection of Endorsements.
    public static func decodeEndorsements(_ value: CBORValue) throws(CBORError) -> [Endorsement] {
        let found = try records(value, .endorsements)
        guard !found.isEmpty, Set(found.map(\.0)) == Set(found.indices.map { "\($0)" }) else {
            throw CBORError(.unknownField, offset: 0)
        }
        let places = found.sorted { Int($0.0) ?? 0 < Int($1.0) ?? 0 }
        return places.map { Endorsement(mediaType: $0.1, bytes: $0.2) }
    }

    private static func record(
        _ mediaType: String,
        _ bytes: [UInt8],
        _ indicator: Indicator
    ) -> CBORValue {
        .array([.text(mediaType), .bytes(bytes), .unsigned(indicator.rawValue)])
    }

    private static func records(
        _ value: CBORValue,
        _ indicator: Indicator
    ) throws(CBORError) -> [(String, String, [UInt8])] {
        guard let entries = value.entries, entries.count <= maxRecords else {
            throw CBORError(.wrongType, offset: 0)
        }
        var found: [(String, String, [UInt8])] = []
        for entry in entries {
            guard let label = entry.key.textString, let record = entry.value.items,
                record.count == 3, let mediaType = record[0].textString,
                mediaType.utf8.count <= 128,
                let bytes = record[1].byteString, record[2].number == indicator.rawValue
            else { throw CBORError(.wrongType, offset: 0) }
            found.append((label, mediaType, bytes))
        }
        return found
    }
}
