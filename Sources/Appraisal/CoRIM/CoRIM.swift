internal import Keys
public import RATS

/// Reference Values as their maker publishes them: a Concise Reference Integrity Manifest
/// (draft-ietf-rats-corim), signed (COSE_Sign1) or not.
///
/// Of it, the digests of the reference triples of its CoMID tags are read; what else it says is for
/// others.
public struct CoRIM: Sendable {
    /// The digests of one measurement.
    public struct Measurement: Sendable, Equatable {
        /// Its key: text as it is, a number in digits, or a register's as `key.register`.
        public let name: String
        /// The vendor and model of the class that it is of; nil where they are not named.
        public let vendor, model: String?
        /// The digests, 32, 48 or 64 bytes each.
        public let digests: [[UInt8]]
    }

    /// In their order.
    public let measurements: [Measurement]
    /// Until when it is good, Unix time; nil where it does not say.
    public let validUntil: Int64?
    /// From when on.
    public let validFrom: Int64?

    /// Vendors' manifests have some hundred KiB.
    public static let maxSize = 1 << 20
    private static let contentTypes = ["application/rim+cbor", "application/corim-unsigned+cbor"]

    /// Reads `bytes`, which one of `keys` has to have signed; with nil, a manifest without a
    /// signature is taken too, and a signature counts for nothing.
    ///
    /// Errors: `corim.malformed`, `corim.signature`.
    public init(_ bytes: [UInt8], signedBy keys: VerifierKeys?) throws(Refusal) {
        guard bytes.count <= CoRIM.maxSize,
            var value = try? CBORDecoder.decode(bytes, rules: .anyOrder)
        else { throw CoRIM.malformed("at most \(CoRIM.maxSize) bytes of CBOR") }
        if case .tagged(500, let inner) = value { value = inner }
        if case .tagged(502, let inner) = value { value = inner }
        if case .tagged(18, let inner) = value {
            value = try CoRIM.payload(inner, keys)
        } else if keys != nil {
            throw CoRIM.refusal("corim.signature", "signature", "one by a pinned key", "none")
        }
        guard case .tagged(501, let map) = value, let fields = map.entries else {
            throw CoRIM.malformed("tag 501")
        }
        var read: [Measurement] = []
        for tag in COSESign1.field(1, fields)?.items ?? [] {
            // 505 is a software tag, 508 a list of tags: neither has measurements.
            guard case .tagged(506, let encoded) = tag else { continue }
            guard let inner = encoded.byteString,
                let module = (try? CBORDecoder.decode(inner, rules: .anyOrder))?.entries
            else { throw CoRIM.malformed("a CoMID under tag 506") }
            read += try CoRIM.measurements(module)
        }
        measurements = read
        let validity = COSESign1.field(4, fields)?.entries ?? []
        validFrom = try CoRIM.time(0, validity)
        validUntil = try CoRIM.time(1, validity)
    }

    private static func payload(
        _ value: CBORValue, _ keys: VerifierKeys?
    ) throws(Refusal) -> CBORValue {
        let message: COSESign1
        do throws(COSESign1.Trouble) {
            message = try COSESign1(value)
        } catch {
            throw malformed("a COSE_Sign1 by a known algorithm")
        }
        guard let type = COSESign1.field(3, message.header)?.textString,
            contentTypes.contains(type)
        else { throw malformed("the content type \(contentTypes[0]) under the signature") }
        if let keys, !message.isSigned(by: keys) {
            throw refusal("corim.signature", "signature", "one by a pinned key", "another")
        }
        guard let value = try? CBORDecoder.decode(message.payload, rules: .anyOrder) else {
            throw malformed("CBOR under the signature")
        }
        return value
    }

    // Labels of the draft's section 5: 4 triples, of them 0 the reference triples, each an
    // environment (0 class: 1 vendor, 2 model) and its measurements (0 key, 1 values: 2 digests,
    // 14 registers).
    private static func measurements(
        _ module: [CBORValue.Entry]
    ) throws(Refusal) -> [Measurement] {
        var read: [Measurement] = []
        let triples = COSESign1.field(4, module)?.entries ?? []
        for triple in COSESign1.field(0, triples)?.items ?? [] {
            guard let pair = triple.items, pair.count == 2, let place = pair[0].entries,
                let items = pair[1].items
            else { throw malformed("reference triples") }
            let kind = COSESign1.field(0, place)?.entries ?? []
            let (vendor, model) = (
                COSESign1.field(1, kind)?.textString, COSESign1.field(2, kind)?.textString
            )
            for item in items {
                guard let entries = item.entries,
                    let values = COSESign1.field(1, entries)?.entries
                else { throw malformed("measurements") }
                let name = COSESign1.field(0, entries).map(name) ?? ""
                var all: [(String, CBORValue)] = []
                if let digests = COSESign1.field(2, values) { all.append((name, digests)) }
                for register in COSESign1.field(14, values)?.entries ?? [] {
                    all.append((name + "." + CoRIM.name(register.key), register.value))
                }
                for (name, digests) in all {
                    read.append(
                        Measurement(
                            name: name, vendor: vendor, model: model,
                            digests: try CoRIM.digests(digests)))
                }
            }
        }
        return read
    }

    private static func digests(_ value: CBORValue) throws(Refusal) -> [[UInt8]] {
        var digests: [[UInt8]] = []
        for item in value.items ?? [] {
            guard let pair = item.items, pair.count == 2, let bytes = pair[1].byteString else {
                throw malformed("digests")
            }
            // Shorter hashes are not worth comparing.
            if [32, 48, 64].contains(bytes.count) { digests.append(bytes) }
        }
        return digests
    }

    private static func name(_ key: CBORValue) -> String {
        switch key {
        case .text(let text): text
        case .unsigned(let number): "\(number)"
        case .bytes(let bytes): Hex.encode(bytes)
        // A UUID (37) or an object identifier (111).
        case .tagged(_, let inner): name(inner)
        default: ""
        }
    }

    private static func time(
        _ number: UInt64, _ validity: [CBORValue.Entry]
    ) throws(Refusal) -> Int64? {
        guard let value = COSESign1.field(number, validity) else { return nil }
        guard case .tagged(1, let inner) = value, let seconds = inner.number,
            seconds <= 253_402_300_799
        else { throw malformed("validity as a number of seconds") }
        return Int64(seconds)
    }

    private static func malformed(_ expected: String) -> Refusal {
        refusal("corim.malformed", "reference manifest", expected, "something else")
    }

    private static func refusal(
        _ code: String, _ field: String, _ expected: String, _ got: String
    ) -> Refusal {
        Refusal(
            code, .configuration, kind: "corim", field: field, expected: expected, got: got,
            remedy: "fetch the manifest from its maker again")
    }
}
