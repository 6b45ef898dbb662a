internal import Keys
public import RATS

/// A signature in place of Evidence: `{1: N_att, 3: SHA-256(SPKI of the binding key),
/// 6: SHA-384(effective configuration), 8: signature}`.
public struct LeaseBody: Sendable, Equatable {
    /// N_att, 32 bytes.
    public let nonce: [UInt8]
    /// SHA-256 of the binding key's SubjectPublicKeyInfo, 32 bytes.
    public let keyHash: [UInt8]
    /// SHA-384 of the effective configuration, 48 bytes.
    public let configurationHash: [UInt8]
    /// By the binding key, raw, 64 bytes.
    public let signature: [UInt8]

    /// The body as it travels.
    public var encoded: [UInt8] {
        CBORValue.fields([
            (1, .bytes(nonce)), (3, .bytes(keyHash)), (6, .bytes(configurationHash)),
            (8, .bytes(signature)),
        ]).encoded()
    }

    /// Reads a body; every field must be there.
    public static func decode(_ bytes: [UInt8]) throws(Refusal) -> LeaseBody {
        do throws(CBORError) {
            let fields = try CBORFields(decoding: bytes, allowed: [1, 3, 6, 8])
            return LeaseBody(
                nonce: try fields.bytes(1, count: Binding.nonceSize),
                keyHash: try fields.bytes(3, count: 32),
                configurationHash: try fields.bytes(6, count: 48),
                signature: try fields.bytes(8, count: 64)
            )
        } catch {
            throw ExchangeRules.refusal(
                "exchange.lease.malformed",
                "lease frame",
                expected: "a lease as specified",
                got: error.description
            )
        }
    }
}
