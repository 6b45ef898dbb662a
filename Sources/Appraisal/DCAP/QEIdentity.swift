internal import Keys
internal import RATS

/// What Intel says a quoting enclave looks like: PCS API, enclave identity, version 2.
struct QEIdentity: Sendable {
    let identifier: String
    let evaluation: Int
    private let miscSelect: [UInt8]
    private let miscSelectMask: [UInt8]
    private let attributes: [UInt8]
    private let attributesMask: [UInt8]
    private let mrSigner: [UInt8]
    private let productID: Int
    let levels: [SVNLevel]

    // Few: one for SGX and one for TDX, and older ones of each.
    private static let kept: Remembered<QEIdentity> = VerificationMemory.memory(capacity: 16)

    /// What a signed document says, read now or earlier.
    static func read(_ document: SignedDocument) throws(Refusal) -> QEIdentity {
        if let known = kept.value(document.digest) { return known }
        let identity = try QEIdentity(document)
        kept.keep(identity, for: document.digest)
        return identity
    }

    init(_ document: SignedDocument) throws(Refusal) {
        let value = document.value
        func bytes(_ name: String, _ count: Int) -> [UInt8]? {
            guard let bytes = value[name]?.text.flatMap(Hex.decode), bytes.count == count
            else { return nil }
            return bytes
        }
        guard let identifier = value["id"]?.text, value["version"]?.integer == 2,
            let evaluation = value["tcbEvaluationDataNumber"]?.integer,
            let miscSelect = bytes("miscselect", 4), let miscMask = bytes("miscselectMask", 4),
            let attributes = bytes("attributes", 16), let mask = bytes("attributesMask", 16),
            let mrSigner = bytes("mrsigner", 32), let productID = value["isvprodid"]?.integer
        else { throw TCBInfo.malformed("version 2 of an enclave identity") }
        self.identifier = identifier
        self.evaluation = evaluation
        self.miscSelect = miscSelect
        miscSelectMask = miscMask
        self.attributes = attributes
        attributesMask = mask
        self.mrSigner = mrSigner
        self.productID = productID
        var levels: [SVNLevel] = []
        for item in value["tcbLevels"]?.items ?? [] { levels.append(try SVNLevel(item)) }
        self.levels = levels
    }

    /// The level of the enclave that made `quote`; it must be the one described here.
    func level(of quote: DCAPQuote) throws(Refusal) -> SVNLevel {
        let report = quote.qeReport
        let wanted = quote.isTDX ? "TD_QE" : "QE"
        try require(identifier == wanted, "id", wanted, identifier)
        // The document writes MISCSELECT as a big-endian number, the report holds it little-endian.
        try require(
            QEIdentity.masked(Array(report.miscSelect.reversed()), miscSelectMask)
                == QEIdentity.masked(miscSelect, miscSelectMask),
            "MISCSELECT", Hex.encode(miscSelect), Hex.encode(report.miscSelect))
        try require(
            QEIdentity.masked(report.attributes, attributesMask)
                == QEIdentity.masked(attributes, attributesMask),
            "ATTRIBUTES", Hex.encode(attributes), Hex.encode(report.attributes))
        try require(
            report.mrSigner == mrSigner, "MRSIGNER", Hex.encode(mrSigner),
            Hex.encode(report.mrSigner))
        try require(
            Int(report.productID) == productID, "ISVPRODID", "\(productID)",
            "\(report.productID)")
        guard let level = SVNLevel.match(levels, svn: Int(report.svn)) else {
            throw refusal("ISVSVN", "one that Intel lists", "\(report.svn)")
        }
        return level
    }

    private func require(
        _ holds: Bool, _ field: String, _ expected: String, _ got: String
    ) throws(Refusal) {
        guard holds else { throw refusal(field, expected, got) }
    }

    private func refusal(_ field: String, _ expected: String, _ got: String) -> Refusal {
        DCAPRefusal.evidence("qe.identity", "QE \(field)", expected, got)
    }

    private static func masked(_ value: [UInt8], _ mask: [UInt8]) -> [UInt8] {
        zip(value, mask).map { $0 & $1 }
    }
}
