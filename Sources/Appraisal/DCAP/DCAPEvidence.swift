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
    /// The media type of the Endorsement.
    public static var mediaType: String { DCAPEvidence.collateralType }

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
