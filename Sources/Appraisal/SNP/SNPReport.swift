internal import Keys
internal import RATS

/// An ATTESTATION_REPORT of versions 2 to 5: SEV-SNP Firmware ABI Specification (AMD 56860),
/// section 7.3, table 23.
struct SNPReport: Sendable {
    /// Which key signed.
    enum SigningKey: UInt64, Sendable {
        /// The Versioned Chip Endorsement Key, of one chip.
        case vcek = 0
        /// The Versioned Loaded Endorsement Key, of one cloud provider.
        case vlek = 1
    }

    /// The length of every report, in bytes.
    static let size = 0x4A0
    /// How many bytes of it are signed.
    static let signedSize = 0x2A0

    /// The report as it travelled, `size` bytes.
    let bytes: [UInt8]
    let version: UInt64
    let signingKey: SigningKey
    /// The product that the report names; `nil` in version 2, which names none.
    let product: SNPProduct?

    /// Reads a report whose every reserved bit is zero.
    init(_ bytes: [UInt8]) throws(Refusal) {
        guard bytes.count == SNPReport.size else {
            throw SNPReport.malformed("length", "\(SNPReport.size) bytes", "\(bytes.count)")
        }
        self.bytes = bytes
        version = SNPReport.number(bytes, 0x00, 4)
        guard (2...5).contains(version) else {
            throw SNPEvidence.refusal(
                "snp.version", .evidence, "VERSION", "2 to 5", "\(version)", "update this side")
        }
        let algorithm = SNPReport.number(bytes, 0x34, 4)
        guard algorithm == 1 else {
            throw SNPEvidence.refusal(
                "snp.signature.algorithm", .evidence, "SIGNATURE_ALGO",
                "1 (ECDSA P-384 with SHA-384)", "\(algorithm)")
        }
        guard let key = SigningKey(rawValue: SNPReport.number(bytes, 0x48, 4) >> 2 & 7) else {
            throw SNPEvidence.refusal(
                "snp.signing_key", .evidence, "SIGNING_KEY", "VCEK (0) or VLEK (1)",
                "\(SNPReport.number(bytes, 0x48, 4) >> 2 & 7)")
        }
        signingKey = key
        if version >= 3 {
            product = SNPProduct(family: bytes[0x188], model: bytes[0x189])
            guard product != nil else {
                throw SNPEvidence.refusal(
                    "snp.product.unknown", .evidence, "CPUID family and model",
                    "Milan, Genoa or Turin", Hex.encode(Array(bytes[0x188...0x18A])),
                    "update this side")
            }
        } else {
            product = nil
        }
        try checkReserved()
    }

    // Bits without a meaning now may weaken the guest once they have one: refused until known.
    // PLATFORM_INFO is left out: Turin's firmware sets bit 6, which the document does not define.
    private func checkReserved() throws(Refusal) {
        var reserved: [Range<Int>] = [0x4C..<0x50, 0x1EB..<0x1EC, 0x1EF..<0x1F0]
        reserved.append(version >= 3 ? 0x18B..<0x1A0 : 0x188..<0x1A0)
        // LAUNCH_MIT_VECTOR and CURRENT_MIT_VECTOR are there since version 5.
        reserved.append(version >= 5 ? 0x208..<0x2A0 : 0x1F8..<0x2A0)
        // r and s take 48 of their 72 bytes each; the rest of the signature is filled up.
        reserved += [0x2D0..<0x2E8, 0x318..<0x330, 0x330..<0x4A0]
        for range in reserved where bytes[range].contains(where: { $0 != 0 }) {
            throw SNPReport.malformed(
                "reserved bytes at 0x\(String(range.lowerBound, radix: 16))", "zero", "others")
        }
        guard SNPReport.number(bytes, 0x48, 4) >> 5 == 0 else {
            throw SNPReport.malformed("KEY_INFO", "zero in bits 5 and up", "others")
        }
        guard policy >> 26 == 0, policy >> 17 & 1 == 1 else {
            throw SNPReport.malformed("POLICY", "bit 17 set, bits 26 and up zero", "others")
        }
        guard vmpl <= 3 else { throw SNPReport.malformed("VMPL", "0 to 3", "\(vmpl)") }
    }

    static func number(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
        bytes[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    static func malformed(_ field: String, _ expected: String, _ got: String) -> Refusal {
        SNPEvidence.refusal("snp.malformed", .evidence, field, expected, got)
    }
}

extension SNPReport {
    var guestSVN: UInt32 { UInt32(truncatingIfNeeded: SNPReport.number(bytes, 0x04, 4)) }
    var policy: UInt64 { SNPReport.number(bytes, 0x08, 8) }
    var vmpl: UInt64 { SNPReport.number(bytes, 0x30, 4) }
    var platformInfo: UInt64 { SNPReport.number(bytes, 0x40, 8) }
    var masksChipKey: Bool { bytes[0x48] & 2 != 0 }
    var hasAuthorKey: Bool { bytes[0x48] & 1 != 0 }
    var reportData: [UInt8] { Array(bytes[0x50..<0x90]) }
    var measurement: [UInt8] { Array(bytes[0x90..<0xC0]) }
    var hostData: [UInt8] { Array(bytes[0xC0..<0xE0]) }
    var idKeyDigest: [UInt8] { Array(bytes[0xE0..<0x110]) }
    var authorKeyDigest: [UInt8] { Array(bytes[0x110..<0x140]) }
    var chipID: [UInt8] { Array(bytes[0x1A0..<0x1E0]) }
    var currentTCB: [UInt8] { Array(bytes[0x38..<0x40]) }
    var reportedTCB: [UInt8] { Array(bytes[0x180..<0x188]) }
    var committedTCB: [UInt8] { Array(bytes[0x1E0..<0x1E8]) }
    var launchTCB: [UInt8] { Array(bytes[0x1F0..<0x1F8]) }
    /// Major, minor and build of the firmware that runs.
    var currentVersion: [UInt8] { [bytes[0x1EA], bytes[0x1E9], bytes[0x1E8]] }
    /// Major, minor and build of the firmware that cannot be rolled back.
    var committedVersion: [UInt8] { [bytes[0x1EE], bytes[0x1ED], bytes[0x1EC]] }

    /// The bytes under the signature.
    var signed: [UInt8] { Array(bytes[..<SNPReport.signedSize]) }
    /// r ‖ s, big-endian, 96 bytes; the report has each little-endian.
    var signature: [UInt8] {
        Array(bytes[0x2A0..<0x2D0].reversed() + bytes[0x2E8..<0x318].reversed())
    }

    /// Whether bit `place` of the guest policy is set.
    func allows(_ place: UInt64) -> Bool { policy >> place & 1 == 1 }

    /// The claims, under AMD's names in lower case.
    var claims: Claims {
        var claims = Claims()
        claims.set("version", .number(version))
        claims.set("guest_svn", .number(UInt64(guestSVN)))
        claims.set("policy", .text("0x" + String(policy, radix: 16)))
        claims.set("policy_abi_major", .number(policy >> 8 & 0xFF))
        claims.set("policy_abi_minor", .number(policy & 0xFF))
        for (name, place) in SNPReport.policyBits { claims.set(name, .flag(allows(place))) }
        claims.set("family_id", .bytes(Array(bytes[0x10..<0x20])))
        claims.set("image_id", .bytes(Array(bytes[0x20..<0x30])))
        claims.set("vmpl", .number(vmpl))
        claims.set("signature_algo", .number(SNPReport.number(bytes, 0x34, 4)))
        claims.set("platform_info", .text("0x" + String(platformInfo, radix: 16)))
        claims.set("alias_check_complete", .flag(platformInfo >> 5 & 1 == 1))
        claims.set("key_info", .text("0x" + String(SNPReport.number(bytes, 0x48, 4), radix: 16)))
        claims.set("author_key_en", .flag(hasAuthorKey))
        claims.set("mask_chip_key", .flag(masksChipKey))
        claims.set("signing_key", .text(signingKey == .vcek ? "VCEK" : "VLEK"))
        claims.set("report_data", .bytes(reportData))
        claims.set("measurement", .bytes(measurement))
        claims.set("host_data", .bytes(hostData))
        claims.set("id_key_digest", .bytes(idKeyDigest))
        claims.set("author_key_digest", .bytes(authorKeyDigest))
        claims.set("report_id", .bytes(Array(bytes[0x140..<0x160])))
        claims.set("report_id_ma", .bytes(Array(bytes[0x160..<0x180])))
        claims.set("chip_id", .bytes(chipID))
        if let product {
            claims.set("cpuid_fam_id", .number(UInt64(bytes[0x188])))
            claims.set("cpuid_mod_id", .number(UInt64(bytes[0x189])))
            claims.set("cpuid_step", .number(UInt64(bytes[0x18A])))
            claims.set("product", .text(product.vendorName))
        }
        setFirmware(&claims)
        return claims
    }

    private func setFirmware(_ claims: inout Claims) {
        let levels = [
            ("current_tcb", currentTCB), ("reported_tcb", reportedTCB),
            ("committed_tcb", committedTCB), ("launch_tcb", launchTCB),
        ]
        for (name, raw) in levels {
            // Version 2 knows of Milan and Genoa only, which have one layout.
            for part in SNPTCB(raw, product: product ?? .milan)?.parts ?? [] {
                claims.set("\(name).\(part.name)", .number(UInt64(part.value)))
            }
            claims.set("\(name).raw", .bytes(raw))
        }
        for (name, version) in [("current", currentVersion), ("committed", committedVersion)] {
            for (part, value) in zip(["major", "minor", "build"], version) {
                claims.set("\(name)_\(part)", .number(UInt64(value)))
            }
        }
        guard version >= 5 else { return }
        claims.set("launch_mit_vector", .number(SNPReport.number(bytes, 0x1F8, 8)))
        claims.set("current_mit_vector", .number(SNPReport.number(bytes, 0x200, 8)))
    }

    private static let policyBits: [(String, UInt64)] = [
        ("policy_smt", 16), ("policy_migrate_ma", 18), ("policy_debug", 19),
        ("policy_single_socket", 20), ("policy_cxl_allow", 21), ("policy_mem_aes_256_xts", 22),
        ("policy_rapl_dis", 23), ("policy_ciphertext_hiding_dram", 24),
        ("policy_page_swap_disable", 25),
    ]
}
