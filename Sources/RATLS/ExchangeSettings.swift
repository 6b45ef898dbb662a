public import Appraisal
internal import Keys
public import RATS

/// What an `Exchange` has to know about its connection.
public struct ChannelFacts {
    /// Names the connection within the process.
    public let channelID: UInt64
    /// Which end of the TLS connection this side is.
    public let role: Role
    /// SubjectPublicKeyInfo that this side showed in this handshake; `nil` if it showed none.
    public let localSPKI: [UInt8]?
    /// SubjectPublicKeyInfo that the peer showed in this handshake; `nil` if it showed none.
    public let peerSPKI: [UInt8]?
    /// 32 bytes from the TLS exporter (RFC 8446 section 7.5) for a label and a context.
    public let export: (_ label: String, _ context: [UInt8]) -> [UInt8]?

    /// Describes a connection whose handshake is complete.
    public init(
        channelID: UInt64,
        role: Role,
        localSPKI: [UInt8]?,
        peerSPKI: [UInt8]?,
        export: @escaping (_ label: String, _ context: [UInt8]) -> [UInt8]?
    ) {
        self.channelID = channelID
        self.role = role
        self.localSPKI = localSPKI
        self.peerSPKI = peerSPKI
        self.export = export
    }
}

/// What one side wants from an exchange and brings to it.
public struct ExchangeSettings: Sendable {
    /// What this side asks of the peer.
    public enum Asks: Sendable {
        /// Evidence that this policy admits; nothing if the policy is written anonymous.
        case policy(AppraisalPolicy)
        /// Evidence to look at, for a person to decide; nobody is admitted.
        case inspection

        /// The kinds of Evidence that would do; none if nothing is asked.
        var kinds: [EvidenceKind] {
            switch self {
            case .policy(let policy): policy.acceptedKinds
            case .inspection: EvidenceKind.allCases
            }
        }
    }

    /// What signs for this side: an Attester with the keys that its Evidence will vouch for.
    public struct Attestation: Sendable {
        /// What produces Evidence.
        public let attester: any Attester
        /// The binding keys toward this origin.
        public let bindingKeys: BindingKeys

        /// Pairs an Attester with binding keys.
        public init(attester: any Attester, bindingKeys: BindingKeys) {
            self.attester = attester
            self.bindingKeys = bindingKeys
        }
    }

    /// What this side asks of the peer.
    public internal(set) var asks: Asks
    /// What this side attests with; `nil` if it cannot.
    public let attestation: Attestation?
    /// This side's effective configuration without its secrets: a JSON object.
    public let configuration: [UInt8]
    /// Whether what admits the peer is kept, for others to appraise later.
    public let keepsEvidence: Bool
    /// SHA-384 of the configuration, which every binding covers.
    let configurationHash: [UInt8]

    /// Describes one side.
    public init(
        asks: Asks, attestation: Attestation?, configuration: [UInt8], keepsEvidence: Bool = false
    ) {
        self.asks = asks
        self.attestation = attestation
        self.configuration = configuration
        self.keepsEvidence = keepsEvidence
        configurationHash = Digest.sha384(configuration)
    }
}
