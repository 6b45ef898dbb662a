internal import Keys
internal import RATS

/// What no policy can allow: Evidence of code that others can read or change.
///
/// Published verifiers parse these fields and leave them unchecked.
enum DCAPRules {
    /// TD_ATTRIBUTES bits with a meaning: TUD (0–7), LASS 27, SEPT_VE_DISABLE 28, MIGRATABLE 29,
    /// PKS 30, KL 31, PERFMON 63 (Intel TDX Module ABI, TD_ATTRIBUTES).
    private static let knownAttributes: UInt64 = 0x8000_0000_F800_00FF
    /// XFAM bits that must be one (x87, SSE), and those that may be (TDX Module ABI, XFAM).
    private static let xfamFixed: UInt64 = 0x3
    private static let xfamAllowed: UInt64 = 0x6DBE7

    static func check(_ quote: DCAPQuote) throws(Refusal) {
        switch quote.body {
        case .sgx(let report):
            try require(!report.isDebug, "sgx.debug", "ATTRIBUTES.DEBUG", "0", "1")
        case .tdx(let report):
            try check(report)
        }
    }

    private static func check(_ report: TDReport) throws(Refusal) {
        let attributes = number(report.attributes)
        try require(
            !report.isDebug, "tdx.debug", "TD_ATTRIBUTES.TUD", "00",
            Hex.encode([report.attributes[0]]))
        try require(
            attributes & ~knownAttributes == 0, "tdx.attributes", "TD_ATTRIBUTES",
            "no reserved bit", Hex.encode(report.attributes))
        try require(
            report.disablesSEPTVE, "tdx.sept_ve", "TD_ATTRIBUTES.SEPT_VE_DISABLE", "1", "0")
        let xfam = number(report.xfam)
        try require(
            xfam & xfamFixed == xfamFixed && xfam & ~xfamAllowed == 0, "tdx.xfam", "XFAM",
            "the features that a TD may have", Hex.encode(report.xfam))
        if let service = report.mrServiceTD {
            try require(
                service.allSatisfy { $0 == 0 }, "tdx.service_td", "MRSERVICETD",
                "no bound service TD", Hex.encode(service))
        }
    }

    private static func number(_ bytes: [UInt8]) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func require(
        _ holds: Bool, _ code: String, _ field: String, _ expected: String, _ got: String
    ) throws(Refusal) {
        guard holds else {
            throw DCAPRefusal.policy(
                code, field, expected, got, "launch the TD or enclave for production")
        }
    }
}
