internal import Keys
internal import RATS

/// Evidence of a TPM, as `TPMAttester` writes it: a CBOR map.
///
/// | key | value |
/// |---|---|
/// | 1 | TPMS_ATTEST, the bytes signed |
/// | 2 | TPMT_SIGNATURE |
/// | 3 | TPMT_PUBLIC of the attestation key |
/// | 4 | TPM_ALG_ID of the bank |
/// | 5 | map from register to value, of the registers quoted and no others |
/// | 6 | X.509 certificate of the endorsement key, DER; may be absent |
/// | 7 | event log as the firmware left it; may be absent |
/// | 8 | report of an Azure paravisor that vouches for the key, `HCLReport`; may be absent |
/// | 9 | TDX quote over the TDREPORT in 8; may be absent |
/// | 10 | certificates of the attestation key, DER, leaf first; may be absent |
struct TPMEvidence: RefusingEvidence {
    static let format = EvidenceFormat.tpm

    let attest: TPMSAttest
    let key: TPMTPublic
    let bank: PCRBank
    let values: [Int: [UInt8]]
    let endorsementCertificate: [UInt8]?
    let eventLog: [UInt8]?
    let paravisorReport: [UInt8]?
    let hardwareQuote: [UInt8]?
    let keyCertificates: [[UInt8]]

    /// A leaf, two authorities above it and a root are usual.
    private static let maxCertificates = 8

    /// Checks structure, binding and signature, in the order of appraisal.md.
    static func authenticate(
        _ evidence: Evidence,
        expected: Appraiser.ExpectedBinding
    ) throws(Refusal) -> AuthenticEvidence {
        let tpm = try TPMEvidence(evidence.bytes, expected: expected)
        return AuthenticEvidence(
            format: .tpm,
            index: evidence.index,
            claims: tpm.claims,
            detail: .tpm(tpm)
        )
    }

    /// Puts together parts that were read and checked elsewhere: files.
    init(
        attest: TPMSAttest, key: TPMTPublic, bank: PCRBank, values: [Int: [UInt8]],
        eventLog: [UInt8]? = nil, paravisorReport: [UInt8]? = nil, hardwareQuote: [UInt8]? = nil,
        keyCertificates: [[UInt8]] = []
    ) {
        self.attest = attest
        self.key = key
        self.bank = bank
        self.values = values
        endorsementCertificate = nil
        self.eventLog = eventLog
        self.paravisorReport = paravisorReport
        self.hardwareQuote = hardwareQuote
        self.keyCertificates = keyCertificates
    }

    private init(_ bytes: [UInt8], expected: Appraiser.ExpectedBinding) throws(Refusal) {
        let fields: CBORFields
        let attestBytes: [UInt8]
        let signatureBytes: [UInt8]
        let keyBytes: [UInt8]
        do throws(CBORError) {
            fields = try CBORFields(decoding: bytes, allowed: Set(1...10))
            attestBytes = try fields.bytes(1)
            signatureBytes = try fields.bytes(2)
            keyBytes = try fields.bytes(3)
            endorsementCertificate = try fields.optionalBytes(6)
            eventLog = try fields.optionalBytes(7)
            paravisorReport = try fields.optionalBytes(8)
            hardwareQuote = try fields.optionalBytes(9)
            var certificates: [[UInt8]] = []
            if fields.optional(10) != nil {
                for item in try fields.array(10, limit: TPMEvidence.maxCertificates) {
                    guard let der = item.byteString else { throw CBORError(.wrongType, offset: 10) }
                    certificates.append(der)
                }
            }
            keyCertificates = certificates
        } catch {
            throw TPMStructure.malformed("evidence", error.description)
        }
        attest = try TPMSAttest(attestBytes)
        let signature = try TPMTSignature(signatureBytes)
        key = try TPMTPublic(keyBytes)
        bank = try TPMEvidence.bank(fields)
        values = try TPMEvidence.values(fields, size: bank.digest.size)
        try key.checkAttributes()
        guard ConstantTime.equal(attest.extraData, expected.tpmQualifyingData) else {
            throw Refusal(
                "tpm.nonce.mismatch",
                .binding,
                kind: "tpm",
                field: "qualifying data",
                expected: Hex.encode(expected.tpmQualifyingData),
                got: Hex.encode(attest.extraData),
                remedy: "the quote is not of this connection"
            )
        }
        try signature.check(by: key, over: attestBytes)
        try checkRegisters(hash: try signature.digest())
    }

    // What is quoted, what is sent and what the TPM hashed are the same registers.
    private func checkRegisters(hash: Digest) throws(Refusal) {
        let banks = attest.selections.map(\.algorithm)
        guard Set(banks).count == banks.count else {
            throw TPMEvidence.refusal(
                "tpm.pcr.duplicate",
                .evidence,
                "PCR selection",
                "each bank once",
                "one twice"
            )
        }
        let sent = values.keys.sorted()
        guard attest.selections == [.init(algorithm: bank.algorithm, registers: sent)] else {
            throw TPMEvidence.refusal(
                "tpm.pcr.selection",
                .evidence,
                "PCR selection",
                "\(bank.rawValue) \(sent) as sent",
                TPMEvidence.show(attest.selections)
            )
        }
        let digest = hash.hash(sent.flatMap { values[$0] ?? [] })
        guard ConstantTime.equal(digest, attest.pcrDigest) else {
            throw TPMEvidence.refusal(
                "tpm.pcr.digest",
                .evidence,
                "pcrDigest",
                Hex.encode(attest.pcrDigest),
                Hex.encode(digest)
            )
        }
    }

    private static func bank(_ fields: CBORFields) throws(Refusal) -> PCRBank {
        let number = fields.optional(4)?.number
        guard let number, let bank = UInt16(exactly: number).flatMap(PCRBank.init(algorithm:))
        else {
            throw refusal(
                "tpm.pcr.bank",
                .evidence,
                "bank",
                "SHA-256 or larger",
                number == UInt64(TPMAlgorithm.sha1) ? "SHA-1" : "another"
            )
        }
        return bank
    }

    private static func values(_ fields: CBORFields, size: Int) throws(Refusal) -> [Int: [UInt8]] {
        var values: [Int: [UInt8]] = [:]
        for entry in fields.optional(5)?.entries ?? [] {
            guard let index = entry.key.number, index < 24, let value = entry.value.byteString,
                value.count == size
            else { throw TPMStructure.malformed("PCR values", "another register or length") }
            values[Int(index)] = value
        }
        guard !values.isEmpty else { throw TPMStructure.malformed("PCR values", "none") }
        return values
    }

    static func show(_ selections: [TPMSAttest.Selection]) -> String {
        selections.map { selection in
            let bank = PCRBank(algorithm: selection.algorithm)?.rawValue
            return "\(bank ?? String(selection.algorithm, radix: 16)) \(selection.registers)"
        }.joined(separator: ", ")
    }
}

extension TPMEvidence {
    /// The claims, under the names of the TPM 2.0 Library.
    var claims: Claims {
        var claims = Claims()
        if !key.name.isEmpty { claims.set("ak.name", .bytes(key.name)) }
        claims.set("ak.algorithm", .text("\(key.key.algorithm)"))
        claims.set("ak.spki.sha256", .bytes(Digest.sha256(key.key.spki)))
        if let certificate = endorsementCertificate.flatMap({ try? Certificate(der: $0) }) {
            claims.set("ek.subject", .text(certificate.subject))
            claims.set("ek.issuer", .text(certificate.issuer))
            claims.set("ek.spki.sha256", .bytes(Digest.sha256(certificate.spki)))
        }
        claims.append(attest.claims)
        if let report = paravisorReport.flatMap({ try? HCLReport($0) }) {
            claims.append(report.claims)
            if report.hardware == .snp, let snp = try? SNPReport(report.report) {
                claims.append(snp.claims, under: "snp")
            } else if let quote = try? report.quote(hardwareQuote) {
                claims.append(quote.claims, under: "tdx")
            }
        }
        if let leaf = keyCertificates.first.flatMap({ try? Certificate(padded: $0) }) {
            claims.set("ak.certificate.subject", .text(leaf.subject))
            claims.set("ak.certificate.issuer", .text(leaf.issuer))
        }
        claims.set("pcr.bank", .text(bank.rawValue))
        for (index, value) in values.sorted(by: { $0.key < $1.key }) {
            claims.set("pcr.\(index)", .bytes(value))
        }
        if let eventLog { claims.set("event_log.bytes", .number(UInt64(eventLog.count))) }
        return claims
    }
}
