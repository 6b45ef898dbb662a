internal import Keys
public import RATS

/// Frames 5 and 6: credential activation of a TPM, an addition to protocol.md's frames 1 to 4.
///
/// A policy that trusts endorsement keys instead of pinned attestation keys costs one more round
/// trip: after everything else about the Evidence held, the Relying Party sends
/// `activation {1: TPM2B_ID_OBJECT, 2: TPM2B_ENCRYPTED_SECRET}`, the Attester answers
/// `activated {1: secret}`, and the result follows. A TPM releases the secret only if it holds
/// the endorsement key and the very attestation key that the credential names, so answering helps
/// nobody who relays it. At most one of each per exchange and direction.
public enum ActivationBody {
    /// The body of frame 5.
    public static func encode(_ credential: CredentialChallenge) -> [UInt8] {
        CBORValue.fields([
            (1, .bytes(credential.idObject)), (2, .bytes(credential.encryptedSecret)),
        ]).encoded()
    }

    /// Reads the body of frame 5.
    public static func decode(_ bytes: [UInt8]) throws(Refusal) -> CredentialChallenge {
        do throws(CBORError) {
            let fields = try CBORFields(decoding: bytes, allowed: [1, 2])
            return CredentialChallenge(
                idObject: try fields.bytes(1),
                encryptedSecret: try fields.bytes(2)
            )
        } catch {
            throw malformed("activation", error)
        }
    }

    /// The body of frame 6.
    public static func encode(secret: [UInt8]) -> [UInt8] {
        CBORValue.fields([(1, .bytes(secret))]).encoded()
    }

    /// Reads the body of frame 6.
    public static func decodeSecret(_ bytes: [UInt8]) throws(Refusal) -> [UInt8] {
        do throws(CBORError) {
            return try CBORFields(decoding: bytes, allowed: [1]).bytes(1)
        } catch {
            throw malformed("activated", error)
        }
    }

    private static func malformed(_ name: String, _ error: CBORError) -> Refusal {
        ExchangeRules.refusal(
            "exchange.activation.malformed",
            "\(name) frame",
            expected: "a body as specified",
            got: error.description
        )
    }
}
