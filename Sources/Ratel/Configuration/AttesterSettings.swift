internal import Attestation
internal import Keys
public import Logging
internal import Loop
public import RATS

/// Which root of trust this side attests with.
public struct AttesterSettings: Sendable {
    /// The choices of `--attester`.
    public enum Choice: String, Sendable, CaseIterable {
        /// The TPM, when there is one.
        case auto
        case tpm
        /// A software key that vouches for nothing.
        case simulated
        /// This side does not attest.
        case none
    }

    /// Which one.
    public var choice: Choice
    /// How libtss2 reaches the TPM, for example `device:/dev/tpmrm0` or `swtpm:path=/run/tpm.sock`.
    public var tcti: String?
    /// The PCRs that quotes cover.
    public var pcrs: [Int]

    /// Collects the settings.
    public init(choice: Choice, tcti: String?, pcrs: [Int]) {
        self.choice = choice
        self.tcti = tcti
        self.pcrs = pcrs
    }

    /// The kernel's resource manager, which several processes may share.
    static let device = "/dev/tpmrm0"

    public func make(_ logger: Logger) throws(ConfigurationError) -> (any Attester)? {
        switch choice {
        case .none:
            return nil
        case .simulated:
            logger.critical(
                "THE ATTESTER IS SIMULATED: a software key signs, and it vouches for nothing")
            do {
                return try SimulatedAttester()
            } catch {
                throw ConfigurationError("--attester simulated: \(error)")
            }
        case .tpm:
            return makeTPM(logger)
        case .auto:
            if tcti != nil || System.exists(AttesterSettings.device) { return makeTPM(logger) }
            throw ConfigurationError(
                "--attester auto: this machine shows no TPM (no \(AttesterSettings.device), no "
                    + "--tcti); write `--attester none` if this side need not attest, and see "
                    + "`ratel doctor`")
        }
    }

    private func makeTPM(_ logger: Logger) -> any Attester {
        let tcti = tcti ?? "device:" + AttesterSettings.device
        var settings = TPMAttester.Settings(tcti: tcti)
        settings.registers = pcrs
        // The kernel's event log is of the machine's own TPM and of no other.
        if !tcti.hasPrefix("device") { settings.eventLogPath = nil }
        logger.info("attester", metadata: ["tpm": "\(tcti)"])
        return TPMAttester(settings)
    }
}
