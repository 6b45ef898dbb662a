public import RATS

/// Which TCB statuses of Intel's will do.
public struct TCBPolicy: Sendable {
    /// A status that is let pass for a time, because every advisory behind it is known.
    public struct Tolerance: Sendable {
        /// The status.
        public let status: TCBStatus
        /// Every advisory that may stand behind it; another one is refused.
        public let advisories: [String]
        /// Unix time at which it ends.
        public let until: Int64

        /// Collects the parts.
        public init(status: TCBStatus, advisories: [String], until: Int64) {
            self.status = status
            self.advisories = advisories
            self.until = until
        }
    }

    /// Accepted whatever the advisories.
    public let accept: [TCBStatus]
    /// Accepted for a time.
    public let tolerate: [Tolerance]
    /// The least `tcbEvaluationDataNumber` of collateral.
    public let minimumEvaluation: Int

    /// Collects the parts.
    public init(accept: [TCBStatus], tolerate: [Tolerance], minimumEvaluation: Int) {
        self.accept = accept
        self.tolerate = tolerate
        self.minimumEvaluation = minimumEvaluation
    }
}

/// What a trust domain has to show.
public struct TDXPolicy: Sendable {
    /// The initial memory, 48 bytes.
    public let mrTD: ReferenceValue
    /// RTMR0 to RTMR3, 48 bytes each.
    public let rtmr: [ReferenceValue]
    public let mrConfigID: ReferenceValue
    public let mrOwner: ReferenceValue
    public let mrOwnerConfig: ReferenceValue
    /// Attributes that may be set beside SEPT_VE_DISABLE: bits of TD_ATTRIBUTES.
    public let allowedAttributes: UInt64
    public let tcb: TCBPolicy
    /// PPIDs, 16 bytes.
    public let platforms: ReferenceValue
    /// SHA-256 of the SubjectPublicKeyInfo of each root that will do, 32 bytes.
    public internal(set) var roots: [[UInt8]]

    /// MIGRATABLE, PKS, KL and PERFMON by their names in policies.
    public static let attributeNames: [(name: String, bit: UInt64)] = [
        ("lass", 1 << 27), ("migratable", 1 << 29), ("pks", 1 << 30), ("kl", 1 << 31),
        ("perfmon", 1 << 63),
    ]

    /// Collects the parts; four RTMRs.
    public init(
        mrTD: ReferenceValue, rtmr: [ReferenceValue], mrConfigID: ReferenceValue,
        mrOwner: ReferenceValue, mrOwnerConfig: ReferenceValue, allowedAttributes: UInt64,
        tcb: TCBPolicy, platforms: ReferenceValue,
        roots: [[UInt8]] = DCAPRoots.intel
    ) {
        precondition(rtmr.count == 4, "a missing RTMR would be a skipped check")
        self.mrTD = mrTD
        self.rtmr = rtmr
        self.mrConfigID = mrConfigID
        self.mrOwner = mrOwner
        self.mrOwnerConfig = mrOwnerConfig
        self.allowedAttributes = allowedAttributes
        self.tcb = tcb
        self.platforms = platforms
        self.roots = roots
    }
}

/// What an enclave has to show.
public struct SGXPolicy: Sendable {
    /// The enclave's code, 32 bytes.
    public let mrEnclave: ReferenceValue
    /// Its signer, 32 bytes.
    public let mrSigner: ReferenceValue
    /// Its product, as two big-endian bytes.
    public let productID: ReferenceValue
    /// The least security version.
    public let minimumSVN: UInt16
    public let tcb: TCBPolicy
    /// PPIDs, 16 bytes.
    public let platforms: ReferenceValue
    /// SHA-256 of the SubjectPublicKeyInfo of each root that will do, 32 bytes.
    public internal(set) var roots: [[UInt8]]

    /// Collects the parts.
    public init(
        mrEnclave: ReferenceValue, mrSigner: ReferenceValue, productID: ReferenceValue,
        minimumSVN: UInt16, tcb: TCBPolicy, platforms: ReferenceValue,
        roots: [[UInt8]] = DCAPRoots.intel
    ) {
        self.mrEnclave = mrEnclave
        self.mrSigner = mrSigner
        self.productID = productID
        self.minimumSVN = minimumSVN
        self.tcb = tcb
        self.platforms = platforms
        self.roots = roots
    }
}
