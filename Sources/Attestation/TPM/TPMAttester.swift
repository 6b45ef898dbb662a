internal import Bytes
internal import CTSS2
internal import Keys
public import RATS

#if canImport(Glibc)
    internal import Glibc
#endif

/// A TPM 2.0 that quotes its registers with a restricted key of its own.
///
/// Evidence: a CBOR map `{1: TPMS_ATTEST, 2: TPMT_SIGNATURE, 3: TPMT_PUBLIC of the attestation
/// key, 4: TPM_ALG_ID of the bank, 5: {register: value}, ?6: endorsement certificate (DER),
/// ?7: event log}`. Every call connects anew and leaves nothing behind in the TPM.
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
    // One piece of work at a time; what the certificate is does not change for a given key.
    private let certificates = Locked<[[UInt8]: [UInt8]?]>([:])

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
        do throws(TPMError) {
            return try certificates.withLock { known throws(TPMError) in
                let connection = try TPMConnection(tcti: settings.tcti)
                let key = try connection.createPrimary(template: TPMTemplate.attestationKey)
                let quoted = try consistentQuote(
                    connection,
                    key: key.handle,
                    qualifyingData: challenge.tpmQualifyingData
                )
                let certificate: [UInt8]?
                if let found = known[key.area] {
                    certificate = found
                } else {
                    certificate = try connection.readIndex(TPMAttester.certificateIndex)
                        .flatMap { try? Certificate(padded: $0).der }
                    known = [key.area: certificate]
                }
                let log = settings.eventLogPath.flatMap {
                    HostFile.read($0, limit: TPMAttester.maxEventLog)
                }
                return [
                    evidence(quoted, area: key.area, certificate: certificate, eventLog: log)
                ]
            }
        } catch {
            throw error.refusal(tcti: settings.tcti)
        }
    }

    public func activate(_ credential: CredentialChallenge) throws(Refusal) -> [UInt8] {
        do throws(TPMError) {
            return try certificates.withLock { _ throws(TPMError) in
                let connection = try TPMConnection(tcti: settings.tcti)
                let endorsementKey: UInt32
                if let found = connection.persistent(TPMAttester.persistentEndorsementKey) {
                    endorsementKey = found
                } else {
                    let template = TPMTemplate.endorsementKey
                    endorsementKey = try connection.createPrimary(template: template).handle
                }
                let key = try connection.createPrimary(template: TPMTemplate.attestationKey)
                return try connection.activate(
                    key: key.handle,
                    endorsementKey: endorsementKey,
                    idObject: credential.idObject,
                    encryptedSecret: credential.encryptedSecret
                )
            }
        } catch {
            throw error.refusal(tcti: settings.tcti)
        }
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
        certificate: [UInt8]?,
        eventLog: [UInt8]?
    ) -> Evidence {
        let values = quoted.values.map { register, value in
            CBORValue.Entry(.unsigned(UInt64(register)), .bytes(value))
        }
        let body = CBORValue.fields([
            (1, .bytes(quoted.attest)), (2, .bytes(quoted.signature)), (3, .bytes(area)),
            (4, .unsigned(UInt64(settings.bank))), (5, .map(values)),
            (6, certificate.map { .bytes($0) }), (7, eventLog.map { .bytes($0) }),
        ])
        return Evidence(.tpm, bytes: body.encoded())
    }
}
