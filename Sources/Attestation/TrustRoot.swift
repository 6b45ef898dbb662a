public import RATS

/// A root of trust that Evidence may come from, other than a TPM.
public enum TrustRoot: String, Sendable, CaseIterable {
    case tdx, snp, nitro, sgx

    /// What attests with it.
    public func attester(_ places: DevicePlaces) throws(Refusal) -> any Attester {
        switch self {
        case .tdx: try TDXAttester(places.tdxSource)
        case .snp: SNPAttester(folder: places.reports)
        case .nitro: NitroAttester(device: places.nsm)
        case .sgx: SGXAttester(folder: places.gramine)
        }
    }
}
