/// How current a platform is, in Intel's words (PCS API, TCB status).
public enum TCBStatus: String, Sendable, CaseIterable {
    case upToDate = "UpToDate"
    case swHardeningNeeded = "SWHardeningNeeded"
    case configurationNeeded = "ConfigurationNeeded"
    case configurationAndSWHardeningNeeded = "ConfigurationAndSWHardeningNeeded"
    case outOfDate = "OutOfDate"
    case outOfDateConfigurationNeeded = "OutOfDateConfigurationNeeded"
    case tdRelaunchAdvised = "TDRelaunchAdvised"
    case tdRelaunchAdvisedConfigurationNeeded = "TDRelaunchAdvisedConfigurationNeeded"
    case revoked = "Revoked"

    /// The status of the whole when a part (TDX module, quoting enclave) has status `part`.
    func converged(with part: TCBStatus) -> TCBStatus {
        switch part {
        case .revoked: .revoked
        case .outOfDate:
            switch self {
            case .upToDate, .swHardeningNeeded: .outOfDate
            case .configurationNeeded, .configurationAndSWHardeningNeeded:
                .outOfDateConfigurationNeeded
            default: self
            }
        default: self
        }
    }
}
