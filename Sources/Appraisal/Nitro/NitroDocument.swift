internal import Keys
internal import RATS

/// The payload of an attestation document: AWS Nitro Enclaves User Guide, "Verifying the root of
/// trust", section "Attestation document specification".
struct NitroDocument: Sendable {
    /// What the NSM answers with at most, 0x3000 bytes (nsm_api, NSM_RESPONSE_MAX_SIZE).
    static let maxSize = 12 * 1024
    /// The specification caps each certificate at this.
    static let maxCertificate = 1024
    /// The caps were 1024 for public_key and 512 for the others; newer NSMs take 1024 for each.
    static let maxField = 1024
    /// Root, region, zone and instance are four; as many again.
    static let maxBundle = 8

    let module: String
    /// Milliseconds since 1970.
    let timestamp: UInt64
    let pcrs: [Int: [UInt8]]
    let certificate: [UInt8]
    let bundle: [[UInt8]]
    let publicKey: [UInt8]?
    let userData: [UInt8]?
    let nonce: [UInt8]?

    /// Reads the payload, which AWS does not encode deterministically.
    init(_ payload: [UInt8]) throws(Refusal) {
        let fields = try NitroDocument.fields(payload)
        guard let module = fields["module_id"]?.textString, !module.isEmpty,
            module.utf8.count <= NitroDocument.maxField
        else { throw NitroDocument.malformed("module_id", "a text") }
        self.module = module
        guard let digest = fields["digest"]?.textString else {
            throw NitroDocument.malformed("digest", "a text")
        }
        guard digest == "SHA384" else {
            throw NitroEvidence.refusal("nitro.digest", .evidence, "digest", "SHA384", digest)
        }
        guard let timestamp = fields["timestamp"]?.number, timestamp > 0,
            timestamp <= UInt64(Int64.max)
        else { throw NitroDocument.malformed("timestamp", "a number above 0") }
        self.timestamp = timestamp
        pcrs = try NitroDocument.registers(fields["pcrs"])
        guard let certificate = fields["certificate"]?.byteString,
            (1...NitroDocument.maxCertificate).contains(certificate.count)
        else { throw NitroDocument.malformed("certificate", "1 to 1024 bytes") }
        self.certificate = certificate
        guard let items = fields["cabundle"]?.items,
            (1...NitroDocument.maxBundle).contains(items.count)
        else { throw NitroDocument.malformed("cabundle", "1 to \(NitroDocument.maxBundle)") }
        bundle = items.compactMap(\.byteString)
        guard bundle.count == items.count,
            bundle.allSatisfy({ (1...NitroDocument.maxCertificate).contains($0.count) })
        else { throw NitroDocument.malformed("cabundle", "1 to 1024 bytes each") }
        publicKey = try NitroDocument.optional(fields, "public_key")
        userData = try NitroDocument.optional(fields, "user_data")
        nonce = try NitroDocument.optional(fields, "nonce")
    }

    private static func fields(_ payload: [UInt8]) throws(Refusal) -> [String: CBORValue] {
        let names: Set<String> = [
            "module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key",
            "user_data", "nonce",
        ]
        let value: CBORValue
        do throws(CBORError) {
            value = try CBORDecoder.decode(payload, rules: .anyOrder)
        } catch {
            throw malformed("payload", "a CBOR map", error.description)
        }
        guard let entries = value.entries else { throw malformed("payload", "a CBOR map") }
        var fields: [String: CBORValue] = [:]
        for entry in entries {
            guard let name = entry.key.textString, names.contains(name),
                fields.updateValue(entry.value, forKey: name) == nil
            else {
                throw malformed("payload", "known fields", entry.key.textString ?? "another key")
            }
        }
        return fields
    }

    private static func registers(_ value: CBORValue?) throws(Refusal) -> [Int: [UInt8]] {
        var registers: [Int: [UInt8]] = [:]
        for entry in value?.entries ?? [] {
            guard let index = entry.key.number, index < 32, let bytes = entry.value.byteString,
                [32, 48, 64].contains(bytes.count)
            else { throw malformed("pcrs", "index 0 to 31, 32, 48 or 64 bytes") }
            registers[Int(index)] = bytes
        }
        guard registers[0] != nil else { throw malformed("pcrs", "PCR 0", "none") }
        return registers
    }

    private static func optional(
        _ fields: [String: CBORValue],
        _ name: String
    ) throws(Refusal) -> [UInt8]? {
        guard let value = fields[name], value != .null else { return nil }
        guard let bytes = value.byteString, bytes.count <= maxField else {
            throw malformed(name, "at most \(maxField) bytes")
        }
        return bytes
    }

    static func malformed(
        _ field: String,
        _ expected: String,
        _ got: String = "another"
    ) -> Refusal {
        NitroEvidence.refusal("nitro.malformed", .evidence, field, expected, got)
    }

    /// The claims, under AWS's names.
    var claims: Claims {
        var claims = Claims()
        claims.set("module_id", .text(module))
        claims.set("digest", .text("SHA384"))
        claims.set("timestamp_ms", .number(timestamp))
        claims.set("timestamp", .text(UTCTime.text(Int64(timestamp / 1000))))
        for (index, value) in pcrs.sorted(by: { $0.key < $1.key }) {
            claims.set("pcrs.\(index)", .bytes(value))
        }
        if let publicKey { claims.set("public_key", .bytes(publicKey)) }
        if let userData { claims.set("user_data", .bytes(userData)) }
        if let nonce { claims.set("nonce", .bytes(nonce)) }
        claims.set("cabundle_len", .number(UInt64(bundle.count)))
        return claims
    }
}
