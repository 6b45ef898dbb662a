internal import Bytes
internal import Keys
internal import RATS

/// What the paravisor of an Azure confidential VM leaves in its vTPM (NV index 0x01400001): a
/// hardware report, and runtime data that the report vouches for and that names the vTPM's keys.
///
/// Layout, little-endian: `HCLA`, version, size, request type, 16 bytes; 1184 bytes of report
/// (SNP: ATTESTATION_REPORT; TDX: TDREPORT); then size, version, report type, hash type, length
/// and the runtime data, JSON (Azure, "vTPM attestation", guest attestation protocol). Zeros fill
/// the NV index.
struct HCLReport: Sendable {
    /// Which report vouches.
    enum Hardware: String, Sendable {
        case snp
        case tdx
    }

    static let reportOffset = 32
    static let reportSize = 1184
    /// The NV index has 2600 bytes; later paravisors may write more keys.
    static let maximumSize = 16 * 1024

    let version: UInt64
    let hardware: Hardware
    /// An SNP report, or a TDREPORT with what fills it up.
    let report: [UInt8]
    /// SHA-256, SHA-384 or SHA-512.
    let hash: Digest
    /// JSON, byte for byte as it was hashed.
    let runtimeData: [UInt8]
    let document: JSONValue
    /// The vTPM's attestation key, `HCLAkPub`.
    let attestationKey: PublicKey

    init(_ bytes: [UInt8]) throws(Refusal) {
        guard bytes.count <= HCLReport.maximumSize else {
            throw HCLReport.malformed("length", "at most \(HCLReport.maximumSize) bytes")
        }
        var reader = QuoteReader(bytes)
        do throws(Refusal) {
            guard try reader.take(4) == Array("HCLA".utf8) else {
                throw HCLReport.malformed("signature", "HCLA")
            }
            version = UInt64(try reader.u32())
            _ = try reader.take(24)
            report = try reader.take(HCLReport.reportSize)
            _ = try reader.u32()
            _ = try reader.u32()
            let type = try reader.u32()
            let hashType = try reader.u32()
            runtimeData = try reader.sized()
            guard let hardware = [2: Hardware.snp, 4: Hardware.tdx][type] else {
                throw HCLReport.malformed("report type", "2 (SNP) or 4 (TDX)")
            }
            self.hardware = hardware
            let hashes: [UInt32: Digest] = [1: .sha256, 2: .sha384, 3: .sha512]
            guard let hash = hashes[hashType] else {
                throw HCLReport.malformed("hash type", "1, 2 or 3")
            }
            self.hash = hash
            guard reader.rest().allSatisfy({ $0 == 0 }) else {
                throw HCLReport.malformed("end", "zeros behind the runtime data")
            }
        } catch {
            guard error.code == DCAPRefusal.malformed.code else { throw error }
            throw HCLReport.malformed("length", "as much as the header says")
        }
        guard let document = JSONParser.parse(runtimeData), document.members != nil else {
            throw HCLReport.malformed("runtime data", "a JSON object")
        }
        self.document = document
        attestationKey = try HCLReport.key("HCLAkPub", in: document)
    }

    /// REPORT_DATA of the hardware's report, 64 bytes.
    var reportData: [UInt8] {
        switch hardware {
        case .snp: Array(report[0x50..<0x90])
        // TDREPORT: REPORTMACSTRUCT.REPORTDATA (Intel TDX Module ABI, TDREPORT_STRUCT).
        case .tdx: Array(report[128..<192])
        }
    }

    /// The 64 bytes that the hardware has to report: the hash, filled up with zeros.
    var expectedReportData: [UInt8] {
        let digest = hash.hash(runtimeData)
        return digest + [UInt8](repeating: 0, count: 64 - digest.count)
    }

    /// Refuses runtime data that the report does not vouch for, then an attestation key that it
    /// does not name.
    func checkBinding(key: PublicKey) throws(Refusal) {
        guard ConstantTime.equal(expectedReportData, reportData) else {
            throw HCLReport.refusal(
                "tpm.hcl.report_data", "REPORT_DATA", Hex.encode(expectedReportData),
                Hex.encode(reportData), "the hardware's report does not vouch for these keys")
        }
        guard ConstantTime.equal(attestationKey.spki, key.spki) else {
            throw HCLReport.refusal(
                "tpm.hcl.key", "SHA-256 of the attestation key",
                Hex.encode(Digest.sha256(attestationKey.spki)),
                Hex.encode(Digest.sha256(key.spki)),
                "another TPM signed the quote than the one in this machine")
        }
    }

    private static func key(
        _ name: String, in document: JSONValue
    ) throws(Refusal) -> PublicKey {
        let found = (document["keys"]?.items ?? []).filter { $0["kid"]?.text == name }
        guard found.count == 1, found[0]["kty"]?.text == "RSA",
            let modulus = found[0]["n"]?.text.flatMap(Base64.decode(url:)),
            let exponent = found[0]["e"]?.text.flatMap(Base64.decode(url:)),
            (1...4).contains(exponent.count),
            let key = try? PublicKey(
                modulus: modulus, exponent: exponent.reduce(0) { $0 << 8 | UInt32($1) })
        else { throw malformed("keys", "one RSA key named \(name)") }
        return key
    }

    private static func malformed(_ field: String, _ expected: String) -> Refusal {
        refusal(
            "tpm.hcl.malformed", field, expected, "something else",
            "read NV index 0x01400001 of an Azure confidential VM")
    }

    static func refusal(
        _ code: String, _ field: String, _ expected: String, _ got: String, _ remedy: String
    ) -> Refusal {
        TPMEvidence.refusal(code, .evidence, "HCL \(field)", expected, got, remedy)
    }
}

extension HCLReport {
    /// The claims, under `hcl`.
    var claims: Claims {
        var claims = Claims()
        claims.set("hcl.hcl_version", .number(version))
        claims.set("hcl.report_type", .text(hardware.rawValue))
        claims.set("hcl.hash_type", .text("sha\(hash.size * 8)"))
        claims.set("hcl.var_len", .number(UInt64(runtimeData.count)))
        claims.set("hcl.report_data", .bytes(reportData))
        claims.set("hcl.var_bound", .flag(reportData == expectedReportData))
        for member in document["vm-configuration"]?.members ?? [] {
            let name = "hcl.vm_configuration.\(member.name)"
            switch member.value {
            case .string(let text): claims.set(name, .text(text))
            case .bool(let flag): claims.set(name, .flag(flag))
            case .number(let number): claims.set(name, .text(number))
            default: continue
            }
        }
        if let data = document["user-data"]?.text { claims.set("hcl.user_data", .text(data)) }
        claims.set("runtime_data_sha256", .bytes(Digest.sha256(runtimeData)))
        return claims
    }
}
