/// What Evidence has to cover, computed from a live connection and from nothing a caller chose.
public struct QuoteChallenge: Sendable {
    /// The qualifying data for a TPM, 32 bytes.
    public let tpmQualifyingData: [UInt8]
    /// The SPDM nonce for the GPU with an index, 32 bytes.
    public let gpuNonce: @Sendable (UInt32) -> [UInt8]
    /// The 64 bytes of report_data for a CPU, once the Evidence of everything else is there.
    public let reportData: @Sendable ([Evidence]) -> [UInt8]
    /// What a Nitro document covers beside report_data; `nil` where nothing expects it.
    public let nitro: Nitro?

    /// The fields of a Nitro document beside `user_data`, which is the report_data.
    public struct Nitro: Sendable {
        /// The root, 48 bytes.
        public let nonce: [UInt8]
        /// The SubjectPublicKeyInfo of the binding key, DER.
        public let publicKey: [UInt8]

        /// Pairs the two.
        public init(nonce: [UInt8], publicKey: [UInt8]) {
            self.nonce = nonce
            self.publicKey = publicKey
        }
    }

    /// Collects what each kind of root of trust has to cover.
    public init(
        tpmQualifyingData: [UInt8],
        gpuNonce: @escaping @Sendable (UInt32) -> [UInt8],
        reportData: @escaping @Sendable ([Evidence]) -> [UInt8],
        nitro: Nitro? = nil
    ) {
        self.tpmQualifyingData = tpmQualifyingData
        self.gpuNonce = gpuNonce
        self.reportData = reportData
        self.nitro = nitro
    }

    /// The same challenge for a root of trust whose report_data covers `others` as well.
    public func including(_ others: [Evidence]) -> QuoteChallenge {
        QuoteChallenge(
            tpmQualifyingData: tpmQualifyingData,
            gpuNonce: gpuNonce,
            reportData: { [reportData] in reportData(others + $0) },
            nitro: nitro
        )
    }
}

/// A secret encrypted to an endorsement key, that only the TPM with a given attestation key
/// releases: TPM 2.0 Library part 1, section 24.
public struct CredentialChallenge: Sendable, Equatable {
    /// TPM2B_ID_OBJECT, with its length.
    public let idObject: [UInt8]
    /// TPM2B_ENCRYPTED_SECRET, with its length.
    public let encryptedSecret: [UInt8]

    /// Pairs the two parts.
    public init(idObject: [UInt8], encryptedSecret: [UInt8]) {
        self.idObject = idObject
        self.encryptedSecret = encryptedSecret
    }
}

/// Something on this machine that produces Evidence, RFC 9334 section 7.1.
///
/// Calls block for as long as the hardware takes (1 ms to 1 s): never on an event loop. One call
/// at a time is enough, since platforms serialise quotes anyway.
public protocol Attester: Sendable {
    /// What people call it.
    var name: String { get }
    /// The kinds of Evidence that one quote gives.
    var kinds: [EvidenceKind] { get }
    /// Whether its Evidence vouches for nothing, so that both ends must say so.
    var isSimulated: Bool { get }

    /// Fresh Evidence that covers `challenge`.
    func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence]

    /// What goes along with the Evidence of a quote: certificates, collateral. May block.
    func endorsements() throws(Refusal) -> [Endorsement]

    /// The secret in `credential`, which proves that the attestation key is in the TPM with that
    /// endorsement key.
    func activate(_ credential: CredentialChallenge) throws(Refusal) -> [UInt8]
}

extension Attester {
    /// Whether its Evidence vouches for nothing; not, unless an Attester says so.
    public var isSimulated: Bool { false }

    /// None: the Evidence is all there is, unless an Attester says otherwise.
    public func endorsements() throws(Refusal) -> [Endorsement] { [] }

    /// Refused: only a TPM has credentials to activate.
    public func activate(_ credential: CredentialChallenge) throws(Refusal) -> [UInt8] {
        throw Refusal(
            "attester.activation.unsupported",
            .attestation,
            field: "credential activation",
            expected: "a TPM",
            got: name,
            remedy: "ask this peer for Evidence without endorsement keys"
        )
    }
}
