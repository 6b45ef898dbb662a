public import RATS

/// How a Relying Party appraises its peers: an Appraisal Policy for Evidence, RFC 9334 section 8.5.
///
/// Every field must be given: a policy with nothing in it accepts nobody.
public struct AppraisalPolicy: Sendable {
    /// What happens when Evidence does not hold.
    public enum Mode: String, Sendable, CaseIterable {
        /// The connection is refused.
        case enforce
        /// The refusal is logged; the peer is known as one that would have been refused.
        case observe
    }

    /// Who may be a peer.
    public enum Peers: Sendable {
        /// Anyone, with nothing asked: only where the policy says `peers: anonymous`.
        case anonymous
        /// Whoever one of these admits, the first that does; nobody else.
        case appraised([PeerPolicy])
    }

    /// What becomes of an open connection whose peer is no longer what was admitted.
    public enum OnChange: String, Sendable, CaseIterable {
        /// No request begins on it, and it ends with its last stream.
        case drain
        /// It ends at once.
        case close
    }

    /// What becomes of an answer that outlasts its connection's admission, where that cannot be
    /// renewed (HTTP/1.1).
    public enum LongAnswers: String, Sendable, CaseIterable {
        /// It is cut at twice `max_age`.
        case cut
        /// It is sent to its end.
        case finish
    }

    /// What happens when Evidence does not hold.
    public let mode: Mode
    /// What becomes of an open connection whose peer has changed.
    public let onChange: OnChange
    /// What becomes of an answer that outlasts its connection's admission.
    public let longAnswers: LongAnswers
    /// Who may be a peer.
    public internal(set) var peers: Peers
    /// SHA-384 of the policy as it was written, with every file that it names, 48 bytes.
    public let digest: [UInt8]

    /// Puts a policy together.
    public init(
        mode: Mode, peers: Peers, digest: [UInt8], onChange: OnChange = .drain,
        longAnswers: LongAnswers = .cut
    ) {
        self.mode = mode
        self.onChange = onChange
        self.longAnswers = longAnswers
        self.peers = peers
        self.digest = digest
    }

    /// For how many seconds the results are good that age first.
    public var shortestAge: UInt32 {
        guard case .appraised(let peers) = peers else { return PeerPolicy.defaultMaxAge }
        return peers.map(\.maxAge).filter { $0 > 0 }.min() ?? PeerPolicy.defaultMaxAge
    }

    /// Whether unattested peers are admitted.
    public var isAnonymous: Bool {
        if case .anonymous = peers { true } else { false }
    }

    /// The kinds of Evidence that some peer of this policy may present, in order.
    public var acceptedKinds: [EvidenceKind] {
        guard case .appraised(let peers) = peers else { return [] }
        let kinds = Set(peers.flatMap { $0.require.keys.map(\.kind) })
        return kinds.sorted { $0.rawValue < $1.rawValue }
    }

    /// The formats for which some peer of this policy is trusted by roots other than the vendor's.
    public var replacedRoots: [EvidenceFormat] {
        guard case .appraised(let peers) = peers else { return [] }
        var formats: Set<EvidenceFormat> = []
        for peer in peers {
            if peer.everyTDX.contains(where: { $0.roots != DCAPRoots.intel }) {
                formats.insert(.tdx)
            }
            if let sgx = peer.sgx, sgx.roots != DCAPRoots.intel { formats.insert(.sgx) }
            if peer.everySNP.contains(where: { $0.roots != SNPRoots.amd }) { formats.insert(.snp) }
            if let nitro = peer.nitro, nitro.roots != [NitroPolicy.awsRoot] {
                formats.insert(.nitro)
            }
        }
        return EvidenceFormat.allCases.filter(formats.contains)
    }

    /// The same policy once for each peer, with that peer alone: to say what each makes of
    /// Evidence, where an appraisal only says what the one that came furthest does.
    public var singly: [(name: String, policy: AppraisalPolicy)] {
        guard case .appraised(let list) = peers else { return [] }
        return list.map { peer in
            var copy = self
            copy.peers = .appraised([peer])
            return (peer.name, copy)
        }
    }

    /// Whether some peer of this policy may be known by Evidence over its key alone.
    public var acceptsStatic: Bool {
        guard case .appraised(let peers) = peers else { return false }
        return peers.contains { $0.tier == .static }
    }

    /// Whether some peer of this policy may present simulated Evidence.
    public var acceptsSimulated: Bool {
        guard case .appraised(let peers) = peers else { return false }
        return peers.contains(where: \.simulated)
    }
}

/// What one sort of peer has to show.
public struct PeerPolicy: Sendable {
    /// What ties the Evidence down.
    public enum Tier: String, Sendable, CaseIterable {
        /// To this very connection.
        case session
        /// To the key of the leaf certificate only.
        case `static`
        /// To nothing: Evidence in files, and never a peer of a connection.
        case none
    }

    /// The name that logs and headers show.
    public let name: String
    /// What ties the Evidence down.
    public let tier: Tier
    /// For how many seconds a result is good.
    public let maxAge: UInt32
    /// The formats of Evidence and how many of each, exactly.
    public let require: [EvidenceFormat: Int]
    /// What a TPM has to show; Evidence of a TPM without it is refused.
    public internal(set) var tpm: TPMPolicy?
    /// What a trust domain has to show; Evidence of one without it is refused.
    public internal(set) var tdx: TDXPolicy?
    /// What an SGX enclave has to show; Evidence of one without it is refused.
    public internal(set) var sgx: SGXPolicy?
    /// What an SEV-SNP guest has to show; Evidence of one without it is refused.
    public internal(set) var snp: SNPPolicy?
    /// What a Nitro enclave has to show; Evidence of one without it is refused.
    public internal(set) var nitro: NitroPolicy?
    /// What an Arm CCA realm has to show; Evidence of one without it is refused.
    public internal(set) var cca: CCAPolicy?
    /// What each GPU has to show; Evidence of one without it is refused.
    public internal(set) var nvidiaGPU: NVIDIAGPUPolicy?
    /// What each NVSwitch has to show; Evidence of one without it is refused.
    public internal(set) var nvidiaSwitch: NVIDIADevicePolicy?
    /// What a token of another Verifier has to show; one without it is refused.
    public internal(set) var result: ResultPolicy?
    /// Whether a software key will do.
    public let simulated: Bool
    /// What the peer's effective configuration has to say.
    public let configuration: [ConfigurationConstraint]

    /// Puts together what one sort of peer has to show.
    public init(
        name: String,
        tier: Tier,
        maxAge: UInt32,
        require: [EvidenceFormat: Int],
        tpm: TPMPolicy?,
        tdx: TDXPolicy? = nil, sgx: SGXPolicy? = nil, snp: SNPPolicy? = nil,
        nitro: NitroPolicy? = nil,
        cca: CCAPolicy? = nil,
        nvidiaGPU: NVIDIAGPUPolicy? = nil,
        nvidiaSwitch: NVIDIADevicePolicy? = nil,
        result: ResultPolicy? = nil,
        simulated: Bool,
        configuration: [ConfigurationConstraint]
    ) {
        self.name = name
        self.tier = tier
        self.maxAge = maxAge
        self.require = require
        self.tpm = tpm
        self.tdx = tdx
        self.sgx = sgx
        self.snp = snp
        self.nitro = nitro
        self.cca = cca
        self.nvidiaGPU = nvidiaGPU
        self.nvidiaSwitch = nvidiaSwitch
        self.result = result
        self.simulated = simulated
        self.configuration = configuration
    }

    /// For how long a result is good unless the policy says otherwise: protocol.md, "Leases".
    public static let defaultMaxAge: UInt32 = 300
    /// Seconds of the shortest age that can be renewed on an open connection: one challenge in 10 s
    /// (`protocol.md`, Long connections), with a second for the way.
    public static let shortestRenewable: UInt32 = 11
}

extension PeerPolicy {
    /// Every policy for a trust domain in it, also for one under a virtual TPM.
    var everyTDX: [TDXPolicy] {
        guard case .underTDX(let policy)? = tpm?.key else { return tdx.map { [$0] } ?? [] }
        return (tdx.map { [$0] } ?? []) + [policy]
    }

    /// Every policy for an SEV-SNP guest in it, also for one under a virtual TPM.
    var everySNP: [SNPPolicy] {
        guard case .underSNP(let policy)? = tpm?.key else { return snp.map { [$0] } ?? [] }
        return (snp.map { [$0] } ?? []) + [policy]
    }
}
