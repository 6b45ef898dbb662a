/// What kind of root of trust Evidence comes from, as protocol.md numbers them.
public enum EvidenceKind: UInt8, Sendable, CaseIterable {
    /// A CPU's trusted execution environment: TDX, SNP, SGX, CCA.
    case cpuTEE = 1
    /// A GPU in confidential-computing mode, or a switch between GPUs; the GPUs come first.
    case gpu = 2
    /// A TPM or a virtual one.
    case tpm = 3
    /// An AWS Nitro enclave.
    case nitro = 4
    /// Another Verifier's word, in a file: protocol.md has no number for it, and no connection
    /// carries it.
    case result = 254
    /// A software key that vouches for nothing.
    case simulated = 255

    /// Whether its Evidence holds report_data, and with that the manifest of all other Evidence.
    public var carriesReportData: Bool {
        switch self {
        case .cpuTEE, .nitro, .simulated: true
        case .gpu, .tpm, .result: false
        }
    }
}

/// A format of Evidence that Ratel knows, by the name that policies use.
public enum EvidenceFormat: String, Sendable, CaseIterable {
    /// A TPM 2.0 quote.
    case tpm
    /// A TDX quote.
    case tdx
    /// An SGX quote.
    case sgx
    /// An AMD SEV-SNP attestation report.
    case snp
    /// An AWS Nitro attestation document.
    case nitro
    /// An Arm CCA attestation token.
    case cca
    /// The report of an NVIDIA GPU.
    case nvidiaGPU = "nvidia_gpu"
    /// The report of an NVIDIA NVSwitch, which counts among the GPUs of its machine.
    case nvidiaSwitch = "nvidia_switch"
    /// A signed Attestation Result of another Verifier.
    case result
    /// A signature by a software key.
    case simulated

    /// The media type that announces it.
    public var mediaType: String { "application/vnd.ratel.\(rawValue)+cbor" }

    /// The kind of root of trust that produces it.
    public var kind: EvidenceKind {
        switch self {
        case .tpm: .tpm
        case .tdx, .sgx, .snp, .cca: .cpuTEE
        case .nvidiaGPU, .nvidiaSwitch: .gpu
        case .nitro: .nitro
        case .result: .result
        case .simulated: .simulated
        }
    }

    /// The format that `mediaType` announces, compared exactly.
    public init?(mediaType: String) {
        guard let format = EvidenceFormat.allCases.first(where: { $0.mediaType == mediaType })
        else { return nil }
        self = format
    }
}

/// What an Attester says about itself, RFC 9334 section 8.1; not yet believed by anyone.
public struct Evidence: Sendable, Equatable {
    /// The kind of root of trust.
    public let kind: EvidenceKind
    /// Which one of its kind on this machine, from 0.
    public let index: UInt16
    /// The media type of `bytes`.
    public let mediaType: String
    /// The Evidence as it travels.
    public let bytes: [UInt8]

    /// Names one piece of Evidence.
    public init(kind: EvidenceKind, index: UInt16, mediaType: String, bytes: [UInt8]) {
        self.kind = kind
        self.index = index
        self.mediaType = mediaType
        self.bytes = bytes
    }

    /// Names one piece of Evidence in a known format.
    public init(_ format: EvidenceFormat, index: UInt16 = 0, bytes: [UInt8]) {
        self.init(kind: format.kind, index: index, mediaType: format.mediaType, bytes: bytes)
    }
}

/// What a third party says about an Attester, such as a certificate, RFC 9334 section 8.2.
public struct Endorsement: Sendable, Equatable {
    /// The media type of an X.509 certificate in DER (RFC 2585 section 4.1).
    public static let certificateType = "application/pkix-cert"
    /// The media type of a certificate revocation list in DER (RFC 2585 section 4.2).
    public static let revocationListType = "application/pkix-crl"

    /// The media type of `bytes`.
    public let mediaType: String
    /// The Endorsement as it travels.
    public let bytes: [UInt8]

    /// Names one Endorsement.
    public init(mediaType: String, bytes: [UInt8]) {
        self.mediaType = mediaType
        self.bytes = bytes
    }
}

/// What a policy accepts for one value, RFC 9334 section 8.3.
public enum ReferenceValue: Sendable, Equatable {
    /// Any value; only ever because a policy says `any` in so many letters.
    case any
    /// One of these; an empty list accepts nothing.
    case oneOf([[UInt8]])

    /// Whether `value` is accepted.
    public func accepts(_ value: [UInt8]) -> Bool {
        switch self {
        case .any: true
        case .oneOf(let values): values.contains(value)
        }
    }
}
