internal import Bytes
internal import Keys
internal import RATS

/// The certificates that a host hands out with a report: GHCB specification (AMD 56421), section
/// "SNP Extended Guest Request", certificate data.
///
/// Entries `GUID ‖ offset u32 ‖ length u32`, little-endian, up to one of zeros; the data follow.
struct SNPCertificateTable {
    /// In DER, in the order of the table: what signed the report, and its issuers.
    private(set) var certificates: [[UInt8]] = []
    /// In DER.
    private(set) var revocationList: [UInt8]?

    /// Entries: AMD names five kinds, hosts may add their own.
    static let maximumEntries = 16

    private enum Kind: CaseIterable {
        case vcek, vlek, ask, ark, list

        /// The GUID's digits in their order, as AMD's own tool writes them.
        var digits: String {
            switch self {
            case .vcek: "63da758de6644564adc5f4b93be8accd"
            case .vlek: "a8074bc2a25a483eaae639c045a0b8a1"
            case .ask: "4ab7b379bbac4fe4a02f05aef327c782"
            case .ark: "c0b406a4a803495297433fb6014cd0ae"
            case .list: "92f81bc358114d3d97ffd19f88dc67ea"
            }
        }

        /// Some hosts swap the first three fields, as Microsoft's form of a GUID does.
        init?(_ guid: [UInt8]) {
            let swapped =
                guid[0..<4].reversed() + guid[4..<6].reversed() + guid[6..<8].reversed()
                + guid[8...]
            let forms = [Hex.encode(guid), Hex.encode(Array(swapped))]
            guard let kind = Kind.allCases.first(where: { forms.contains($0.digits) })
            else { return nil }
            self = kind
        }
    }

    /// Reads a table; nothing at all is a host that has no certificates.
    init(_ bytes: [UInt8]) throws(Refusal) {
        guard bytes.contains(where: { $0 != 0 }) else { return }
        for entry in try SNPCertificateTable.entries(bytes) {
            guard let kind = Kind(entry.guid) else { continue }
            guard entry.offset <= bytes.count, entry.length <= bytes.count - entry.offset,
                entry.length > 0
            else { throw SNPCertificateTable.malformed("an entry beyond the table") }
            try add(kind, Array(bytes[entry.offset..<entry.offset + entry.length]))
        }
    }

    private struct Entry {
        let guid: [UInt8]
        let offset: Int
        let length: Int
    }

    /// The entries before the one of zeros, which must be there.
    private static func entries(_ bytes: [UInt8]) throws(Refusal) -> [Entry] {
        var reader = Reader(bytes)
        var entries: [Entry] = []
        while entries.count <= maximumEntries {
            guard let guid = try? reader.take(16), let offset = try? reader.u32LittleEndian(),
                let length = try? reader.u32LittleEndian()
            else { throw malformed("\(bytes.count) bytes without an end") }
            if guid.allSatisfy({ $0 == 0 }) { return entries }
            entries.append(Entry(guid: guid, offset: Int(offset), length: Int(length)))
        }
        throw malformed("over \(maximumEntries) entries")
    }

    private mutating func add(_ kind: Kind, _ bytes: [UInt8]) throws(Refusal) {
        guard kind != .list else {
            revocationList = bytes
            return
        }
        if bytes.starts(with: Array("-----".utf8)) {
            // Tools let owners of hosts store either form.
            let pem = String(decoding: bytes, as: UTF8.self)
            guard let read = try? Certificate.read(pem: pem) else {
                throw SNPCertificateTable.malformed("PEM that cannot be read")
            }
            certificates += read.map(\.der)
        } else {
            certificates.append(bytes)
        }
    }

    private static func malformed(_ got: String) -> Refusal {
        SNPAttester.refusal(
            "snp.certificates.malformed", "auxblob", "AMD's table of certificates", got)
    }
}
