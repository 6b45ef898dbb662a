internal import Bytes
internal import CTSS2
internal import Keys
public import RATS

#if canImport(Glibc)
    internal import Glibc
#endif

/// A TPM 2.0 that quotes its registers with a restricted key: one of its own, or on an Azure
/// confidential VM the one that the paravisor left there and the hardware vouches for.
///
/// Evidence: a CBOR map `{1: TPMS_ATTEST, 2: TPMT_SIGNATURE, 3: TPMT_PUBLIC of the attestation
/// key, 4: TPM_ALG_ID of the bank, 5: {register: value}, ?6: endorsement certificate (DER),
/// ?7: event log, ?8: the paravisor's report, ?9: TDX quote over the report in it,
/// ?10: [certificate of the attestation key (DER)]}`. Every call connects anew and leaves nothing
/// behind in the TPM.
public final class TPMAttester: Attester {
    /// What to quote, and through which way.
    public struct Settings: Sendable {
        /// The TCTI with its configuration: `device:/dev/tpmrm0`, `swtpm:path=/run/tpm.sock`.
        public var tcti: String
        /// TPM_ALG_ID of the bank: SHA-256 unless set.
        public var bank: UInt16 = 0x000B
        /// The registers to quote, ascending: 0 to 7 unless set, what firmware measures.
        public var registers = Array(0...7)
        /// Where the firmware's event log is, if there is one.
        public var eventLogPath: String? = "/sys/kernel/security/tpm0/binary_bios_measurements"
        /// Where Azure's metadata service is, `ADDRESS:PORT`; asked under TDX on Azure alone.
        public var metadataService = MetadataService.usual

        /// Everything as usual for a TCTI.
        public init(tcti: String) { self.tcti = tcti }
    }

    /// The most bytes of event log that are sent: half of an evidence frame.
    static let maxEventLog = 512 * 1024
    /// How often registers may change between reading and quoting before that is an error.
    static let maxAttempts = 5
    /// NV index of the certificate for the RSA 2048 endorsement key: TCG EK Credential Profile.
    static let certificateIndex: UInt32 = 0x01C0_0002
    /// Where that key lies if someone made it persistent: TCG TPM v2.0 Provisioning Guidance.
    static let persistentEndorsementKey: UInt32 = 0x8101_0001

    private let settings: Settings
    // One piece of work at a time; what vouches for a given key does not change while this runs.
    private let vouchers = Locked<[[UInt8]: Vouchers]>([:])

    private struct Vouchers {
        var endorsementCertificate: [UInt8]?
        var paravisor: ParavisorKey?
        var hardwareQuote: [UInt8]?
    }

    /// Prepares to use a TPM; whether it is there shows at the first quote.
    public init(_ settings: Settings) {
        precondition(
            settings.registers.allSatisfy((0..<24).contains)
                && settings.registers == Set(settings.registers).sorted(),
            "registers are 0 to 23, ascending"
        )
        self.settings = settings
        // The library writes every failed command to stderr, in its own words, unless told not to.
        unsafe setenv("TSS2_LOG", "all+none", 0)
    }

    public var name: String { "TPM 2.0 (\(settings.tcti))" }
    public var kinds: [EvidenceKind] { [.tpm] }

    public func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence] {
        try vouchers.withLock { known throws(Refusal) in
            let area: [UInt8]
            let quoted: Quoted
            var found: Vouchers
            do throws(TPMError) {
                let connection = try TPMConnection(tcti: settings.tcti)
                let key = try attestationKey(connection)
                area = key.area
                quoted = try consistentQuote(
                    connection, key: key.handle, qualifyingData: challenge.tpmQualifyingData)
                if let before = known[area] {
                    found = before
                } else {
                    found = try vouchers(connection)
                }
            } catch {
                throw error.refusal(tcti: settings.tcti)
            }
            if found.hardwareQuote == nil, let report = found.paravisor?.tdReport {
                let service = MetadataService(address: settings.metadataService)
                found.hardwareQuote = try service.quote(report)
            }
            known = [area: found]
            let log = settings.eventLogPath.flatMap {
                HostFile.read($0, limit: TPMAttester.maxEventLog)
            }
            return [evidence(quoted, area: area, found, eventLog: log)]
        }
    }

    public func activate(_ credential: CredentialChallenge) throws(Refusal) -> [UInt8] {
        do throws(TPMError) {
            return try vouchers.withLock { _ throws(TPMError) in
                let connection = try TPMConnection(tcti: settings.tcti)
                let endorsementKey: UInt32
                if let found = connection.persistent(TPMAttester.persistentEndorsementKey) {
                    endorsementKey = found
                } else {
                    let template = TPMTemplate.endorsementKey
                    endorsementKey = try connection.createPrimary(template: template).handle
                }
                return try connection.activate(
                    key: try attestationKey(connection).handle,
                    endorsementKey: endorsementKey,
                    idObject: credential.idObject,
                    encryptedSecret: credential.encryptedSecret
                )
            }
        } catch {
            throw error.refusal(tcti: settings.tcti)
        }
    }

    // The paravisor's where there is one, which nobody can make anew.
    private func attestationKey(
        _ connection: TPMConnection
    ) throws(TPMError) -> (handle: UInt32, area: [UInt8]) {
        if connection.persistent(ParavisorKey.reportIndex) != nil,
            let key = connection.persistent(ParavisorKey.handle)
        {
            return (key, try connection.publicArea(of: key))
        }
        return try connection.createPrimary(template: TPMTemplate.attestationKey)
    }

    private func vouchers(_ connection: TPMConnection) throws(TPMError) -> Vouchers {
        let certificate = try connection.readIndex(TPMAttester.certificateIndex)
            .flatMap { try? Certificate(padded: $0).der }
        return Vouchers(
            endorsementCertificate: certificate, paravisor: try ParavisorKey(connection))
    }

    private struct Quoted {
        let attest: [UInt8]
        let signature: [UInt8]
        let values: [Int: [UInt8]]
    }

    // A register may be extended between reading and quoting: the values are those before and
    // after the quote, if they are the same.
    private func consistentQuote(
        _ connection: TPMConnection,
        key: UInt32,
        qualifyingData: [UInt8]
    ) throws(TPMError) -> Quoted {
        let selection = TPMTemplate.selection(bank: settings.bank, registers: settings.registers)
        var before = try connection.readRegisters(
            bank: settings.bank,
            registers: settings.registers
        )
        for _ in 0..<TPMAttester.maxAttempts {
            let (attest, signature) = try connection.quote(
                key: key,
                qualifyingData: qualifyingData,
                selection: selection
            )
            let after = try connection.readRegisters(
                bank: settings.bank,
                registers: settings.registers
            )
            if before == after {
                return Quoted(attest: attest, signature: signature, values: after)
            }
            before = after
        }
        // TPM_RC_RETRY.
        throw TPMError(action: "quote (the registers keep changing)", code: 0x922)
    }

    private func evidence(
        _ quoted: Quoted,
        area: [UInt8],
        _ vouchers: Vouchers,
        eventLog: [UInt8]?
    ) -> Evidence {
        let values = quoted.values.map { register, value in
            CBORValue.Entry(.unsigned(UInt64(register)), .bytes(value))
        }
        let body = CBORValue.fields([
            (1, .bytes(quoted.attest)), (2, .bytes(quoted.signature)), (3, .bytes(area)),
            (4, .unsigned(UInt64(settings.bank))), (5, .map(values)),
            (6, vouchers.endorsementCertificate.map { .bytes($0) }),
            (7, eventLog.map { .bytes($0) }),
            (8, vouchers.paravisor.map { .bytes($0.report) }),
            (9, vouchers.hardwareQuote.map { .bytes($0) }),
            (10, vouchers.paravisor?.certificate.map { .array([.bytes($0)]) }),
        ])
        return Evidence(.tpm, bytes: body.encoded())
    }
}
