internal import Keys
public import RATS

/// That a TPM has yet to prove that it holds both an endorsement key and an attestation key.
public struct ActivationRequest: Sendable {
    /// The endorsement key, whose certificate was found good.
    let endorsementKey: PublicKey
    /// The Name of the attestation key.
    let attestationKeyName: [UInt8]

    /// A fresh secret in a credential that only such a TPM can open.
    public func makeCredential() throws(Refusal) -> PendingActivation {
        throw Refusal(
            "tpm.activation.unsupported",
            .policy,
            kind: "tpm",
            field: "credential",
            expected: "a credential",
            got: "none",
            remedy: "pin the attestation key"
        )
    }
}

/// A credential that was sent, and the secret that must come back.
public struct PendingActivation: Sendable {
    /// What to send.
    public let credential: CredentialChallenge
    let secret: [UInt8]
    let proof: Activation

    /// The proof, if `answer` is the secret.
    public func confirm(_ answer: [UInt8]) throws(Refusal) -> Activation {
        guard ConstantTime.equal(answer, secret) else { throw refusal(got: "another secret") }
        return proof
    }

    /// The refusal of a TPM that did not prove its keys.
    public func refusal(got: String) -> Refusal {
        Refusal(
            "tpm.activation.failed",
            .evidence,
            kind: "tpm",
            field: "credential activation",
            expected: "the secret that only this TPM can open",
            got: got,
            remedy: "the attestation key is not in the TPM with this endorsement key"
        )
    }
}

/// That a TPM has proved it. Only a confirmed request makes one.
public struct Activation: Sendable, Equatable {
    let endorsementKeyHash: [UInt8]
    let attestationKeyName: [UInt8]
}
