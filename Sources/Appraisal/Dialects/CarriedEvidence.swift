internal import Keys
public import RATS

/// Evidence as another system carries it, told in Ratel's own terms, and what it has to cover.
///
/// Nothing of it is authentic yet: `authenticate` checks signatures and binding as of any Evidence.
public struct CarriedEvidence: Sendable {
    /// The form it came in.
    public let dialect: Dialect
    /// Where it was: an object identifier, the name of a field, or a path.
    public let place: String
    /// By which formula it covers the key or connection.
    public let formula: String
    /// What it is, in Ratel's media types.
    public let evidence: [Evidence]
    /// What came along with it.
    public let endorsements: [Endorsement]
    let expected: Appraiser.ExpectedBinding
    /// What event logs say that lead to a register of the Evidence.
    var events = Claims()
    /// Whether it covers the key of the connection; where not, no policy is met by it.
    public internal(set) var coversKey = true
    /// What nothing here can check.
    public internal(set) var gaps: [String] = []

    /// A value that report_data or user_data may have, and how people write it.
    struct Formula {
        let name: String
        let value: [UInt8]

        init(_ name: String, _ value: [UInt8]) {
            self.name = name
            self.value = value
        }
    }

    init(
        _ dialect: Dialect, _ place: String, formula: String, evidence: [Evidence],
        endorsements: [Endorsement] = [], expected: Appraiser.ExpectedBinding
    ) {
        self.dialect = dialect
        self.place = place
        self.formula = formula
        self.evidence = evidence
        self.endorsements = endorsements
        self.expected = expected
    }

    /// A piece whose report_data or user_data is one of `formulas`, zeros behind.
    init(
        _ dialect: Dialect, _ place: String, _ piece: ForeignPiece, _ formulas: [Formula],
        code: String = "certificate.binding.key"
    ) throws(Refusal) {
        let found = formulas.first { formula in
            !formula.value.isEmpty
                && ConstantTime.equal(piece.covered, piece.padded(formula.value))
        }
        guard let found else {
            throw Refusal(
                code, .binding, kind: "certificate", field: piece.field,
                expected: formulas.map { "\($0.name) = \(Hex.encode($0.value))" }
                    .joined(separator: " or "),
                got: Hex.encode(piece.covered),
                remedy: "the Evidence is of another key: it was copied here")
        }
        let padded = piece.padded(found.value)
        self.init(
            dialect, place, formula: "\(piece.field) = \(found.name)", evidence: [piece.evidence],
            expected: Appraiser.ExpectedBinding(
                // A document's user_data may have other lengths; nothing else is compared then.
                reportData: padded.count == 64 ? padded : Digest.sha512(padded),
                // No formula of these covers a TPM: what follows from the key is never a quote's.
                tpmQualifyingData: Digest.sha256(padded), nitro: .userDataAlone(padded)))
    }
}

/// One piece of Evidence that others carry bare, and what it covers.
struct ForeignPiece {
    let evidence: Evidence
    /// The name of what it covers: `report_data` or `user_data`.
    let field: String
    let covered: [UInt8]

    /// A quote of Intel's.
    init(quote bytes: [UInt8]) throws(Refusal) {
        let quote = try DCAPQuote(bytes)
        evidence = Evidence(quote.isTDX ? .tdx : .sgx, bytes: bytes)
        field = "report_data"
        covered = quote.reportData
    }

    /// A report of AMD's with the certificates that came along, DER.
    init(report bytes: [UInt8], certificates: [[UInt8]]) throws(Refusal) {
        covered = try SNPReport(bytes).reportData
        field = "report_data"
        evidence = Evidence(
            .snp,
            bytes: CBORValue.fields([
                (1, .bytes(bytes)),
                (2, certificates.isEmpty ? nil : .array(certificates.map { .bytes($0) })),
            ]).encoded())
    }

    /// A document of Nitro's.
    init(document bytes: [UInt8]) throws(Refusal) {
        let nitro = try NitroEvidence.unbound(bytes)
        evidence = Evidence(.nitro, bytes: bytes)
        field = "user_data"
        covered = nitro.document.userData ?? []
    }

    // REPORT_DATA has 64 bytes; what is shorter stands at its front. user_data is as long as it is.
    func padded(_ value: [UInt8]) -> [UInt8] {
        guard field == "report_data" else { return value }
        return value + [UInt8](repeating: 0, count: max(0, 64 - value.count))
    }
}
