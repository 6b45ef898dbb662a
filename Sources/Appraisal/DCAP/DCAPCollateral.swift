internal import Keys
internal import RATS

/// What Intel says about platforms of one kind, as its Provisioning Certification Service hands it
/// out (PCS API version 4).
public struct DCAPCollateral: Sendable, Equatable {
    /// `{"tcbInfo":…,"signature":"hex"}`, byte for byte.
    public var tcbInfo: [UInt8]
    /// `{"enclaveIdentity":…,"signature":"hex"}`, byte for byte.
    public var qeIdentity: [UInt8]
    /// PEM: the TCB signing certificate, then the root.
    public var tcbSigningChain: [UInt8]
    /// DER list of the PCK's issuer.
    public var pckRevocations: [UInt8]
    /// DER list of the root.
    public var rootRevocations: [UInt8]

    /// Bytes of each part: the largest TCB info seen has 6 KiB, revocation lists grow.
    static let maximumPart = 256 * 1024

    /// Collects the parts.
    public init(
        tcbInfo: [UInt8], qeIdentity: [UInt8], tcbSigningChain: [UInt8],
        pckRevocations: [UInt8], rootRevocations: [UInt8]
    ) {
        self.tcbInfo = tcbInfo
        self.qeIdentity = qeIdentity
        self.tcbSigningChain = tcbSigningChain
        self.pckRevocations = pckRevocations
        self.rootRevocations = rootRevocations
    }

    var isWithinLimits: Bool {
        [tcbInfo, qeIdentity, tcbSigningChain, pckRevocations, rootRevocations]
            .allSatisfy { $0.count <= DCAPCollateral.maximumPart }
    }
}
