public import RATS

/// What an SEV-SNP guest has to show. Nothing has a default but the roots: a value that does not
/// matter is `any`.
public struct SNPPolicy: Sendable {
    /// What is asked of one bit that makes a guest or platform stronger.
    public enum Hardening: String, Sendable, CaseIterable {
        case any
        case required
    }

    /// What is asked of one bit that makes a guest weaker.
    public enum Weakening: String, Sendable, CaseIterable {
        case any
        case refused
    }

    /// How old one TCB version may be.
    public enum Floor: Sendable, Equatable {
        case any
        case atLeast(SNPTCB)
    }

    /// How old each TCB version of one product may be.
    public struct Floors: Sendable, Equatable {
        /// Of the firmware that runs.
        public let current: Floor
        /// Of the firmware that cannot be rolled back.
        public let committed: Floor
        /// Of that which the signing key stands for.
        public let reported: Floor
        /// Of the firmware that launched the guest.
        public let launch: Floor

        /// Collects the floors.
        public init(current: Floor, committed: Floor, reported: Floor, launch: Floor) {
            self.current = current
            self.committed = committed
            self.reported = reported
            self.launch = launch
        }
    }

    /// Which cloud providers' VLEKs are good, by CSP_ID.
    public enum LoadedKey: Sendable, Equatable {
        /// None: the key has to be of one chip.
        case refused
        case any
        case oneOf([String])
    }

    /// Which guest SVNs or versions are good.
    public enum Least: Sendable, Equatable {
        case any
        case atLeast(UInt32)
    }

    /// What is asked of the bits of guest policy and platform.
    public struct Features: Sendable, Equatable {
        /// Simultaneous multithreading, POLICY bit 16.
        public let smt: Weakening
        /// Compute Express Link, POLICY bit 21.
        public let cxl: Weakening
        /// Activation on one socket only, POLICY bit 20.
        public let singleSocket: Hardening
        /// Memory under AES-256-XTS, POLICY bit 22.
        public let aesXTS: Hardening
        /// Running average power limit off, POLICY bit 23.
        public let raplDisabled: Hardening
        /// Ciphertext hiding, POLICY bit 24.
        public let ciphertextHiding: Hardening
        /// Page swapping off, POLICY bit 25.
        public let pageSwapDisabled: Hardening
        /// Check for aliased memory complete, PLATFORM_INFO bit 5 (BadRAM, CVE-2024-21944).
        public let aliasCheck: Hardening

        /// Collects what is asked.
        public init(
            smt: Weakening,
            cxl: Weakening,
            singleSocket: Hardening,
            aesXTS: Hardening,
            raplDisabled: Hardening,
            ciphertextHiding: Hardening,
            pageSwapDisabled: Hardening,
            aliasCheck: Hardening
        ) {
            self.smt = smt
            self.cxl = cxl
            self.singleSocket = singleSocket
            self.aesXTS = aesXTS
            self.raplDisabled = raplDisabled
            self.ciphertextHiding = ciphertextHiding
            self.pageSwapDisabled = pageSwapDisabled
            self.aliasCheck = aliasCheck
        }
    }

    /// What may be in the guest, and where it may run.
    public struct Identity: Sendable, Equatable {
        /// MEASUREMENT, 48 bytes.
        public let measurement: ReferenceValue
        /// HOST_DATA, 32 bytes.
        public let hostData: ReferenceValue
        /// ID_KEY_DIGEST, 48 bytes.
        public let idKeyDigest: ReferenceValue
        /// AUTHOR_KEY_DIGEST, 48 bytes.
        public let authorKeyDigest: ReferenceValue
        /// CHIP_ID, 64 bytes; zero where a VLEK signs, or where the host hides it.
        public let chipID: ReferenceValue
        /// GUEST_SVN.
        public let guestSVN: Least
        /// The privilege levels that may have asked for the report, 0 to 3.
        public let vmpl: [UInt64]

        /// Collects what may be in the guest.
        public init(
            measurement: ReferenceValue,
            hostData: ReferenceValue,
            idKeyDigest: ReferenceValue,
            authorKeyDigest: ReferenceValue,
            chipID: ReferenceValue,
            guestSVN: Least,
            vmpl: [UInt64]
        ) {
            self.measurement = measurement
            self.hostData = hostData
            self.idKeyDigest = idKeyDigest
            self.authorKeyDigest = authorKeyDigest
            self.chipID = chipID
            self.guestSVN = guestSVN
            self.vmpl = vmpl
        }
    }

    /// The products that are good, each with its floors.
    public let products: [SNPProduct: Floors]
    /// What may be in the guest, and where it may run.
    public let identity: Identity
    /// What is asked of the bits of guest policy and platform.
    public let features: Features
    /// The lowest firmware ABI that the guest accepts, major in bits 8 to 15, minor below.
    public let abi: Least
    /// Whose VLEKs are good.
    public let loadedKey: LoadedKey
    /// Whether AMD's revocation list has to be there and current.
    public let revocation: Hardening
    /// Whether firmware that can still be rolled back is let pass.
    public let allowsProvisionalFirmware: Bool
    /// SHA-256 of the SubjectPublicKeyInfo of each ARK that will do, by product.
    public internal(set) var roots: [SNPProduct: [[UInt8]]]

    /// Puts together what a guest has to show.
    public init(
        products: [SNPProduct: Floors],
        identity: Identity,
        features: Features,
        abi: Least,
        loadedKey: LoadedKey,
        revocation: Hardening,
        allowsProvisionalFirmware: Bool,
        roots: [SNPProduct: [[UInt8]]] = SNPRoots.amd
    ) {
        self.products = products
        self.identity = identity
        self.features = features
        self.abi = abi
        self.loadedKey = loadedKey
        self.revocation = revocation
        self.allowsProvisionalFirmware = allowsProvisionalFirmware
        self.roots = roots
    }
}
