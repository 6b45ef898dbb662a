internal import Appraisal
internal import Keys

/// What a relying party remembers of Evidence that it admitted: protocol.md, "Leases".
///
/// Only a settled `Exchange` makes one. It opens nothing by itself: the attester must sign with the
/// same binding key over each connection that it is used for.
public struct Lease: Sendable {
    /// SubjectPublicKeyInfo of the binding key that the Evidence vouches for.
    let bindingKey: PublicKey
    /// SHA-256 of it, 32 bytes.
    let keyHash: [UInt8]
    /// SHA-384 of the effective configuration that was appraised.
    let configurationHash: [UInt8]
    /// What the appraisal said.
    let result: AttestationResult
    /// When the challenge was sent that the Evidence answers, in milliseconds since boot.
    let askedAt: UInt64

    /// Milliseconds since boot at which the result is too old.
    var until: UInt64 { result.end(askedAt: askedAt) }

    /// Whether it may be used at `moment`, and for `least` milliseconds more.
    func holds(at moment: Moment, least: UInt64 = 1) -> Bool {
        moment.uptime >= askedAt && moment.uptime + least <= until
            && UInt64(result.lifetime(at: moment.unix)) * 1_000 >= least
    }
}

extension AttestationResult {
    /// When it is too old, in milliseconds since boot like `askedAt`, from which its age runs.
    func end(askedAt: UInt64) -> UInt64 { askedAt + UInt64(maxAge) * 1_000 }
}

/// One instant on the two clocks that attestation needs.
public struct Moment: Sendable, Equatable {
    /// Seconds since 1970, UTC: what certificates and collateral are valid by.
    public var unix: Int64
    /// Milliseconds since boot, those of suspended time included: what ages are counted by.
    public var uptime: UInt64

    /// Pairs the two.
    public init(unix: Int64, uptime: UInt64) {
        self.unix = unix
        self.uptime = uptime
    }
}
