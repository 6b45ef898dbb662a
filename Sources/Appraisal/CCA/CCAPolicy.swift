public import RATS

/// What an Arm CCA realm has to show. Nothing has a default.
public struct CCAPolicy: Sendable {
    /// Which firmware is accepted.
    public enum Software: Sendable, Equatable {
        /// Any; only ever because a policy says `any`.
        case any
        /// Each component is one of these.
        case oneOf([Component])
    }

    /// A piece of firmware: who signed it, and what it is.
    public struct Component: Sendable, Equatable {
        /// The hash of the signer's key, 32, 48 or 64 bytes.
        public let signer: [UInt8]
        /// The measurement, 32, 48 or 64 bytes.
        public let measurement: [UInt8]

        /// Pairs the two.
        public init(signer: [UInt8], measurement: [UInt8]) {
            self.signer = signer
            self.measurement = measurement
        }
    }

    /// SHA-256 of the platform attestation keys that are trusted, SubjectPublicKeyInfo, 32 bytes
    /// each: Arm has no public root, so each machine's key is learned from its maker or owner.
    public internal(set) var platformKeys: [[UInt8]]
    /// The implementation ids that are accepted, 32 bytes.
    public let implementationID: ReferenceValue
    /// The machines that are accepted, 33 bytes.
    public let instanceID: ReferenceValue
    /// The initial measurements (RIM) that are accepted.
    public let initial: ReferenceValue
    /// The extensible measurements (REM) that are accepted, four; fewer accept nothing.
    public let extensible: [ReferenceValue]
    /// The personalisation values (RPV) that are accepted, 64 bytes.
    public let personalization: ReferenceValue
    /// The firmware that is accepted.
    public let software: Software

    /// Puts together what a realm has to show.
    public init(
        platformKeys: [[UInt8]],
        implementationID: ReferenceValue,
        instanceID: ReferenceValue,
        initial: ReferenceValue,
        extensible: [ReferenceValue],
        personalization: ReferenceValue,
        software: Software
    ) {
        self.platformKeys = platformKeys
        self.implementationID = implementationID
        self.instanceID = instanceID
        self.initial = initial
        self.extensible = extensible
        self.personalization = personalization
        self.software = software
    }
}
