internal import Keys
public import RATS

/// What a successful appraisal says about one peer, RFC 9334 section 8.4.
///
/// Only `Appraiser` makes one.
public struct AttestationResult: Sendable {
    /// The name of the part of the policy that admitted the peer.
    public let peer: String
    /// What ties the Evidence down: protocol.md, "Tiers".
    public enum Tier: String, Sendable, CaseIterable {
        /// One connection.
        case session
        /// The key of a certificate, and no connection.
        case `static`
        /// Nothing: a file, whose freshness is the matter of whoever reads it.
        case none
    }

    /// What ties the Evidence down.
    public let tier: Tier
    /// SHA-384 of the policy, 48 bytes.
    public let policyDigest: [UInt8]
    /// Each piece of Evidence with its claims.
    public let evidence: [AuthenticEvidence]
    /// The effective configuration as it was sent: JSON.
    public let configuration: [UInt8]
    /// When the appraisal was made, Unix time in seconds.
    public let appraisedAt: Int64
    /// For how many seconds it is good.
    public let maxAge: UInt32
    /// Unix time at which the first piece of collateral that it rests on expires.
    public let validUntil: Int64

    /// For how many seconds it is good from `now` on: its age, and its collateral's.
    public func lifetime(at now: Int64) -> UInt32 {
        UInt32(max(0, min(Int64(maxAge), validUntil - now)))
    }

    /// Whether it rests on a software key, and so on nothing.
    public var isSimulated: Bool { evidence.contains { $0.format == .simulated } }
}

/// Evidence whose structure, signature and binding hold; what it says is not yet appraised.
///
/// Only `Appraiser` makes one. The key that signed it is not yet trusted either: that is for the
/// policy to say.
public struct AuthenticEvidence: Sendable {
    /// The format.
    public let format: EvidenceFormat
    /// Which one of its kind.
    public let index: UInt16
    /// What it says, under the vendor's names.
    public let claims: Claims
    /// What the appraisal needs beyond the claims.
    let detail: Detail

    /// The collateral that it cannot be appraised without.
    public var needs: [CollateralNeed] {
        switch detail {
        case .dcap(let dcap): (try? CollateralNeed.dcap(dcap.bytes)).map { [$0] } ?? []
        case .snp(let snp):
            CollateralNeed.of(reported: snp.report.bytes, snp.certificates.map(\.der))
        default: []
        }
    }

    enum Detail: Sendable {
        case simulated
        case tpm(TPMEvidence)
        case dcap(DCAPEvidence)
        case snp(SNPEvidence)
        case nitro(NitroEvidence)
        case cca(CCAEvidence)
        case nvidia(NVIDIAEvidence)
        case result(ResultToken)
    }
}
