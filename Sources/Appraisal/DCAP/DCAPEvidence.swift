internal import Keys
public import RATS

/// A DCAP quote whose signatures and binding hold, with the collateral that came along; Intel's
/// chain, its TCB and the measurements are for the appraisal.
struct DCAPEvidence: Sendable {
    /// The media type of an Endorsement that holds collateral: a CBOR map of byte strings,
    /// `{1: TCB info, 2: QE identity, 3: TCB signing chain, 4: PCK CRL, 5: root CRL}`.
    static let collateralType = "application/vnd.ratel.dcap-collateral+cbor"

    let bytes: [UInt8]
    let quote: DCAPQuote
    /// Nil when none came; then a policy that asks for this Evidence refuses.
    let collateral: DCAPCollateral?

    static func authenticate(
        _ evidence: Evidence, format: EvidenceFormat, endorsements: [Endorsement],
        expected: Appraiser.ExpectedBinding
    ) throws(Refusal) -> AuthenticEvidence {
        let quote = try DCAPQuote(evidence.bytes)
        guard quote.isTDX == (format == .tdx) else {
            throw DCAPRefusal.evidence(
                "quote.tee_type", "TEE type", format.rawValue, quote.isTDX ? "tdx" : "sgx")
        }
        try quote.checkSignatures()
        guard ConstantTime.equal(quote.reportData, expected.reportData) else {
            throw Refusal(
                "dcap.report_data", .binding, kind: format.rawValue, field: "report_data",
                expected: Hex.encode(expected.reportData), got: Hex.encode(quote.reportData),
                remedy: "check that nothing sits between: the quote is of another connection")
        }
        let detail = DCAPEvidence(
            bytes: evidence.bytes, quote: quote, collateral: try collateral(in: endorsements))
        return AuthenticEvidence(
            format: format, index: evidence.index, claims: quote.claims, detail: .dcap(detail))
    }

    /// The collateral among `endorsements`; nil when none came, refused when it comes twice.
    static func collateral(
        in endorsements: [Endorsement]
    ) throws(Refusal) -> DCAPCollateral? {
        let found = endorsements.filter { $0.mediaType == collateralType }
        guard let endorsement = found.first else { return nil }
        guard found.count == 1,
            let value = try? CBORDecoder.decode(endorsement.bytes),
            case .map(let pairs) = value, pairs.count == 5
        else { throw malformed }
        var parts: [UInt64: [UInt8]] = [:]
        for pair in pairs {
            guard case .unsigned(let number) = pair.key, case .bytes(let bytes) = pair.value
            else { throw malformed }
            parts[number] = bytes
        }
        guard let info = parts[1], let identity = parts[2], let chain = parts[3],
            let pckList = parts[4], let rootList = parts[5]
        else { throw malformed }
        return DCAPCollateral(
            tcbInfo: info, qeIdentity: identity, tcbSigningChain: chain,
            pckRevocations: pckList, rootRevocations: rootList)
    }

    private static let malformed = DCAPRefusal.collateral(
        "collateral.malformed", "collateral", "a map of five byte strings", "something else")
}

extension DCAPCollateral {
    /// The collateral as an Endorsement, to be stapled to the quote it belongs to.
    public var endorsement: Endorsement {
        Endorsement(
            mediaType: DCAPEvidence.collateralType,
            bytes: CBORValue.fields([
                (1, .bytes(tcbInfo)), (2, .bytes(qeIdentity)), (3, .bytes(tcbSigningChain)),
                (4, .bytes(pckRevocations)), (5, .bytes(rootRevocations)),
            ]).encoded())
    }
}

extension DCAPQuote {
    /// What it says, under Intel's names.
    var claims: Claims {
        var claims = Claims()
        claims.set("quote.version", .number(UInt64(version)))
        switch body {
        case .tdx(let report):
            claims.set("tdx.mrtd", .bytes(report.mrTD))
            for (index, value) in report.rtmr.enumerated() {
                claims.set("tdx.rtmr\(index)", .bytes(value))
            }
            claims.set("tdx.mrseam", .bytes(report.mrSEAM))
            claims.set("tdx.mrsignerseam", .bytes(report.mrSignerSEAM))
            claims.set("tdx.td_attributes", .bytes(report.attributes))
            claims.set("tdx.xfam", .bytes(report.xfam))
            claims.set("tdx.mrconfigid", .bytes(report.mrConfigID))
            claims.set("tdx.mrowner", .bytes(report.mrOwner))
            claims.set("tdx.mrownerconfig", .bytes(report.mrOwnerConfig))
            claims.set("tdx.tee_tcb_svn", .bytes(report.teeTCBSVN))
            if let svn = report.teeTCBSVN2 { claims.set("tdx.tee_tcb_svn2", .bytes(svn)) }
            if let service = report.mrServiceTD { claims.set("tdx.mrservicetd", .bytes(service)) }
        case .sgx(let report):
            claims.set("sgx.mrenclave", .bytes(report.mrEnclave))
            claims.set("sgx.mrsigner", .bytes(report.mrSigner))
            claims.set("sgx.isvprodid", .number(UInt64(report.productID)))
            claims.set("sgx.isvsvn", .number(UInt64(report.svn)))
            claims.set("sgx.attributes", .bytes(report.attributes))
            claims.set("sgx.configid", .bytes(report.configID))
            claims.set("sgx.configsvn", .number(UInt64(report.configSVN)))
        }
        claims.set("report_data", .bytes(reportData))
        return claims
    }
}
