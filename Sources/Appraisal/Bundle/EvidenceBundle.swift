internal import Keys
internal import RATS

/// Evidence and its collateral as files side by side, bound to no connection of this machine.
///
/// The names of files say what they hold: `quote.bin`, `tcb_info.json`, `report.bin`, `vcek.der`,
/// `quote.msg`, `attestation-document.cbor`, `cca-token.cbor`, `cert.pem` and so on (README,
/// "Evidence in files"). A bundle is only read; nothing is fetched for it.
public struct EvidenceBundle: Sendable {
    /// What kind of Evidence a bundle holds.
    public enum Kind: String, Sendable, CaseIterable {
        case tdx
        case sgx
        case snp
        case tpm
        case nitro
        case nvidia
        case cca
        /// A signed Attestation Result of another Verifier.
        case result
        /// A certificate with Evidence in it.
        case certificate
    }

    /// Content by file name.
    public let files: [String: [UInt8]]
    /// What it holds.
    public let kind: Kind

    /// The most bytes of one file: certificates with the Evidence of eight GPUs have 200 KiB, event
    /// logs and reference manifests up to 1 MiB.
    public static let maximumFile = 2 << 20

    /// Takes a folder's files; nil when none of them is Evidence.
    public init?(files: [String: [UInt8]]) {
        guard let kind = EvidenceBundle.kind(of: files) else { return nil }
        self.files = files
        self.kind = kind
    }

    /// Takes one file, whatever its name, also as hexadecimal or Base64 text; nil when it is no
    /// Evidence.
    public init?(file bytes: [UInt8]) {
        if let name = EvidenceBundle.name(of: bytes) {
            self.init(files: [name: bytes])
        } else if let decoded = EvidenceBundle.decoded(text: bytes),
            let name = EvidenceBundle.name(of: decoded)
        {
            self.init(files: [name: decoded])
        } else {
            return nil
        }
    }

    /// What text stands for: all hexadecimal, `0x` in front or not, or all Base64; line breaks
    /// count for nothing.
    private static func decoded(text bytes: [UInt8]) -> [UInt8]? {
        guard bytes.count <= 2 * maximumFile else { return nil }
        let digits = bytes.filter { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
        let text = String(decoding: digits, as: UTF8.self)
        let plain = text.hasPrefix("0x") ? String(text.dropFirst(2)) : text
        return Hex.decode(plain) ?? Base64.decode(digits) ?? Base64.decode(url: text)
    }

    func file(_ name: String) -> [UInt8]? { files[name] }

    /// The file, which must be there.
    func required(_ name: String, _ what: String) throws(Refusal) -> [UInt8] {
        guard let bytes = files[name] else {
            throw Refusal(
                "evidence.file.missing", .evidence, kind: kind.rawValue, field: name,
                expected: what, got: "no such file", remedy: "put it beside the Evidence")
        }
        return bytes
    }

    // What vouches for other Evidence comes first: a certificate's quote also lies beside it, and
    // so does the report under a TPM.
    private static func kind(of files: [String: [UInt8]]) -> Kind? {
        if files["cert.pem"] != nil || files["cert.der"] != nil { return .certificate }
        if files["quote.msg"] != nil { return .tpm }
        if files["attestation-document.cbor"] != nil { return .nitro }
        if files["cca-token.cbor"] != nil { return .cca }
        if files["result.jwt"] != nil { return .result }
        if let report = files["report.bin"] {
            if ["vcek.der", "vlek.der", "ask.der", "asvk.der", "ark.der"].contains(where: {
                files[$0] != nil
            }) {
                return .snp
            }
            if files["cert-chain.pem"] != nil { return .nvidia }
            return isSPDM(report) ? .nvidia : .snp
        }
        if files["report-0.bin"] != nil { return .nvidia }
        guard let quote = files["quote.bin"] else { return nil }
        return isSGX(quote) ? .sgx : .tdx
    }

    /// The name that a folder would have for a file with this content.
    private static func name(of bytes: [UInt8]) -> String? {
        if bytes.starts(with: Array("-----BEGIN CERTIFICATE".utf8)) { return "cert.pem" }
        if bytes.starts(with: [0x30, 0x82]), (try? Certificate(der: bytes)) != nil {
            return "cert.der"
        }
        if bytes.count >= 48, Array(bytes[12..<28]) == DCAPQuote.intelVendor { return "quote.bin" }
        if bytes.starts(with: [0xFF, 0x54, 0x43, 0x47]) { return "quote.msg" }
        // CCA tokens are CBOR with tag 399; COSE_Sign1 is tag 18, or an array of four.
        if bytes.starts(with: [0xD9, 0x01, 0x8F]) { return "cca-token.cbor" }
        if bytes.starts(with: [0xD2, 0x84]), let token = try? SignedClaims(cwt: bytes),
            token.claims["module_id"] == nil
        {
            return "result.jwt"
        }
        if bytes.starts(with: [0xD2, 0x84]) || bytes.starts(with: [0x84, 0x44]) {
            return "attestation-document.cbor"
        }
        // A JSON object in Base64 begins so, NRAS's bundle so; tag 61 is CWT, and EAR may be it.
        if bytes.starts(with: Array("eyJ".utf8)) || bytes.starts(with: Array("[[\"JWT\"".utf8)) {
            return "result.jwt"
        }
        if bytes.starts(with: [0xD8, 0x3D, 0xD2]) { return "result.jwt" }
        if isSPDM(bytes) { return "report.bin" }
        let isReport = bytes.count == SNPReport.size && bytes.dropFirst().prefix(3) == [0, 0, 0]
        return isReport ? "report.bin" : nil
    }

    // SPDM 1.1 GET_MEASUREMENTS; an SNP report begins with its version as four bytes.
    private static func isSPDM(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0x11, 0xE0]) }

    private static func isSGX(_ quote: [UInt8]) -> Bool {
        quote.count >= 8 && quote[4..<8].allSatisfy { $0 == 0 }
    }
}
