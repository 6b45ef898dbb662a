public import Keys
public import RATS

/// A bank of platform configuration registers, by its hash.
public enum PCRBank: String, Sendable, CaseIterable {
    case sha256
    case sha384
    case sha512

    /// TPM_ALG_ID, TPM 2.0 Library part 2, section 6.3.
    public var algorithm: UInt16 {
        switch self {
        case .sha256: 0x000B
        case .sha384: 0x000C
        case .sha512: 0x000D
        }
    }

    /// The hash itself.
    public var digest: Digest {
        switch self {
        case .sha256: .sha256
        case .sha384: .sha384
        case .sha512: .sha512
        }
    }

    /// The bank with this TPM_ALG_ID; SHA-1 is not one.
    public init?(algorithm: UInt16) {
        guard let bank = PCRBank.allCases.first(where: { $0.algorithm == algorithm }) else {
            return nil
        }
        self = bank
    }
}

/// What a TPM has to show. Nothing has a default: a value that does not matter is `any`.
public struct TPMPolicy: Sendable {
    /// Why the attestation key is believed to be in a TPM.
    public enum KeyTrust: Sendable {
        /// Its Name (TPM 2.0 Library part 1, section 16) is one of these, 34 bytes each.
        case pinned([[UInt8]])
        /// A credential is activated under an endorsement key whose certificate leads to one of
        /// these roots; `keys` may limit it to certain endorsement keys, by SHA-256 of the SPKI.
        case endorsed(roots: [Certificate], keys: ReferenceValue)
        /// The cloud's certificate for the attestation key leads to one of these roots.
        case certified(roots: [Certificate])
        /// An SEV-SNP report that meets this policy vouches for the key, as in an Azure
        /// confidential VM (`HCLReport`).
        case underSNP(SNPPolicy)
        /// A TDX quote that meets this policy vouches for the key, as in an Azure confidential VM.
        case underTDX(TDXPolicy)
    }

    /// What a counter may be.
    public enum Count: Sendable, Equatable {
        case any
        case oneOf([UInt32])

        /// Whether `value` is accepted.
        public func accepts(_ value: UInt32) -> Bool {
            switch self {
            case .any: true
            case .oneOf(let values): values.contains(value)
            }
        }
    }

    /// Which firmware versions are good.
    public enum Firmware: Sendable, Equatable {
        case any
        case atLeast(UInt64)
    }

    /// What is asked of the event log.
    public enum EventLog: String, Sendable, CaseIterable {
        /// It is not looked at.
        case any
        /// It must be there and replay to the quoted registers.
        case replayed
    }

    /// Why the attestation key is believed.
    public internal(set) var key: KeyTrust
    /// The bank that is quoted.
    public let bank: PCRBank
    /// The registers that are quoted, these and no others, and what they may hold.
    public let pcrs: [Int: ReferenceValue]
    /// How often the TPM was reset.
    public let resetCount: Count
    /// How often it was restarted since.
    public let restartCount: Count
    /// Which firmware versions are good.
    public let firmware: Firmware
    /// Whether a clock that may have gone backwards is let pass.
    public let allowsUnsafeClock: Bool
    /// What is asked of the event log.
    public let eventLog: EventLog

    /// Puts together what a TPM has to show.
    public init(
        key: KeyTrust,
        bank: PCRBank,
        pcrs: [Int: ReferenceValue],
        resetCount: Count,
        restartCount: Count,
        firmware: Firmware,
        allowsUnsafeClock: Bool,
        eventLog: EventLog
    ) {
        self.key = key
        self.bank = bank
        self.pcrs = pcrs
        self.resetCount = resetCount
        self.restartCount = restartCount
        self.firmware = firmware
        self.allowsUnsafeClock = allowsUnsafeClock
        self.eventLog = eventLog
    }
}
