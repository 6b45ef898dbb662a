internal import Attestation
internal import Keys
public import Logging
internal import Loop
public import RATS

/// Which roots of trust this side attests with.
public struct AttesterSettings: Sendable {
    /// The choices of `--attester`.
    public enum Choice: String, Sendable, CaseIterable {
        /// The strongest that shows itself: tdx, snp, nitro, sgx, then tpm; one and no more, since
        /// a policy asks for exactly what it lists.
        case auto
        case tpm
        case tdx
        case snp
        case sgx
        case nitro
        /// The machine's GPUs, beside one of the others: a GPU says nothing of its machine.
        case nvidia
        /// A software key that vouches for nothing.
        case simulated
        /// This side does not attest.
        case none
    }

    /// Which ones; `auto` and `none` stand alone.
    public var choices: [Choice]
    /// How libtss2 reaches the TPM, for example `device:/dev/tpmrm0` or `swtpm:path=/run/tpm.sock`.
    public var tcti: String?
    /// The PCRs that quotes cover.
    public var pcrs: [Int]
    /// The folder of Endorsements that travel along.
    public var endorsements: String?
    var places = DevicePlaces()

    /// What attests for this side; nil for `none`.
    public func make(_ logger: Logger) throws(ConfigurationError) -> (any Attester)? {
        if choices == [.none] {
            guard endorsements == nil else {
                throw ConfigurationError("--endorsements: this side does not attest (--attester)")
            }
            return nil
        }
        var attesters: [any Attester] = []
        for choice in choices == [.auto] ? [try automatic()] : choices {
            attesters.append(try make(choice, logger))
        }
        do throws(Refusal) {
            let attester = attesters.count == 1 ? attesters[0] : try CompositeAttester(attesters)
            guard let endorsements else { return attester }
            // A folder that is wrong from the start is told at once.
            let count = try EndorsementFolder.read(endorsements).count
            logger.info(
                "endorsements", metadata: ["folder": "\(endorsements)", "count": "\(count)"])
            return EndorsedAttester(attester: attester, folder: endorsements)
        } catch {
            throw ConfigurationError("\(error)")
        }
    }

    private func make(
        _ choice: Choice, _ logger: Logger
    ) throws(ConfigurationError) -> any Attester {
        switch choice {
        case .simulated:
            logger.critical(
                "THE ATTESTER IS SIMULATED: a software key signs, and it vouches for nothing")
            do {
                return try SimulatedAttester()
            } catch {
                throw ConfigurationError("--attester simulated: \(error)")
            }
        case .tpm: return makeTPM(logger)
        case .tdx: return try make(root: .tdx, logger)
        case .snp: return try make(root: .snp, logger)
        case .sgx: return try make(root: .sgx, logger)
        case .nitro: return try make(root: .nitro, logger)
        case .nvidia:
            guard choices.count > 1 else {
                throw ConfigurationError(
                    "--attester nvidia: a GPU says nothing of its machine; name what attests for "
                        + "that too, such as tdx,nvidia")
            }
            do throws(Refusal) {
                return try NVIDIAAttester(library: places.nvml)
            } catch {
                throw ConfigurationError("--attester nvidia: \(error)")
            }
        case .auto, .none:
            throw ConfigurationError("--attester: auto and none stand alone")
        }
    }

    private func make(
        root: TrustRoot, _ logger: Logger
    ) throws(ConfigurationError) -> any Attester {
        do throws(Refusal) {
            let attester = try root.attester(places)
            logger.info("attester", metadata: ["\(root)": "\(attester.name)"])
            return attester
        } catch {
            throw ConfigurationError("--attester \(root.rawValue): \(error)")
        }
    }

    private func automatic() throws(ConfigurationError) -> Choice {
        if let found = places.found.first, let choice = Choice(rawValue: found.rawValue) {
            return choice
        }
        if tcti != nil || System.exists(places.tpm) { return .tpm }
        throw ConfigurationError(
            "--attester auto: this machine shows no root of trust (no TDX, SEV-SNP, Nitro or SGX, "
                + "no \(places.tpm), no --tcti); write `--attester none` if this side need not "
                + "attest, and see `ratel doctor`")
    }

    private func makeTPM(_ logger: Logger) -> any Attester {
        let tcti = tcti ?? "device:" + places.tpm
        var settings = TPMAttester.Settings(tcti: tcti)
        settings.registers = pcrs
        settings.metadataService = places.metadataService
        // The kernel's event log is of the machine's own TPM and of no other.
        if !tcti.hasPrefix("device") { settings.eventLogPath = nil }
        logger.info("attester", metadata: ["tpm": "\(tcti)"])
        return TPMAttester(settings)
    }
}

extension AttesterSettings {
    init(_ source: ConfigurationSource, default choice: Choice) throws(ConfigurationError) {
        tcti = source["tcti"]
        pcrs = Array(0...7)
        endorsements = source["endorsements"]
        choices = [tcti == nil ? choice : .tpm]
        if let text = source["attester"] { choices = try AttesterSettings.choices(text) }
        if let text = source["pcrs"] {
            pcrs = try SettingValue.list(text, in: 0...23, setting: "pcrs")
        }
        places = DevicePlaces(source)
    }

    private static func choices(_ text: String) throws(ConfigurationError) -> [Choice] {
        var choices: [Choice] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let choice: Choice = try SettingValue.choice(String(part), setting: "attester")
            guard !choices.contains(choice) else {
                throw ConfigurationError("--attester: \(choice.rawValue) is there twice")
            }
            choices.append(choice)
        }
        guard choices.count == 1 || !choices.contains(where: { $0 == .auto || $0 == .none }) else {
            throw ConfigurationError("--attester: auto and none stand alone; got \(text)")
        }
        return choices
    }
}

extension DevicePlaces {
    init(_ source: ConfigurationSource) {
        self.init()
        if let path = source["tsm-reports"] { reports = path }
        if let path = source["tdx-guest"] { tdxGuest = path }
        if let address = source["quoting-service"] {
            quotingService = address
            // Whoever names a service wants it.
            prefersQuotingService = true
        }
        if let address = source["metadata-service"] { metadataService = address }
        if let path = source["gramine"] { gramine = path }
        if let path = source["nsm"] { nsm = path }
        if let path = source["nvml"] { nvml = path }
    }
}
