internal import Bytes
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
        try makeCredential(seed: SecureRandom.bytes(32), secret: SecureRandom.bytes(32))
    }

    /// TPM2_MakeCredential for an RSA endorsement key of the TCG's default template (SHA-256,
    /// AES-128-CFB): TPM 2.0 Library part 1, sections 24 and B.10.4.
    func makeCredential(seed: [UInt8], secret: [UInt8]) throws(Refusal) -> PendingActivation {
        let name = attestationKeyName
        let hash = Digest.sha256
        do throws(KeyError) {
            let wrapped = try endorsementKey.encryptOAEP(
                seed,
                label: Array("IDENTITY\0".utf8),
                digest: hash
            )
            let key = ActivationRequest.derive(hash, seed, "STORAGE", name, bits: 128)
            let identity = try Cipher.encryptAES128CFB(sized(secret), key: key)
            let integrityKey = ActivationRequest.derive(hash, seed, "INTEGRITY", [], bits: 256)
            let integrity = hash.authenticate(identity + name, key: integrityKey)
            return PendingActivation(
                credential: CredentialChallenge(
                    idObject: sized(sized(integrity) + identity),
                    encryptedSecret: sized(wrapped)
                ),
                secret: secret,
                proof: Activation(
                    endorsementKeyHash: Digest.sha256(endorsementKey.spki),
                    attestationKeyName: name
                )
            )
        } catch {
            throw TPMEvidence.refusal(
                "tpm.ek.algorithm",
                .policy,
                "endorsement key",
                "RSA of 2048 bits and up",
                error.description,
                "pin the attestation key instead"
            )
        }
    }

    /// KDFa, part 1, section 11.4.10.2: SP 800-108 in counter mode with HMAC; one round is enough
    /// for what is derived here.
    static func derive(
        _ hash: Digest,
        _ key: [UInt8],
        _ label: String,
        _ context: [UInt8],
        bits: UInt32
    ) -> [UInt8] {
        precondition(Int(bits) <= hash.size * 8, "more bits than one round gives")
        var text = Writer()
        text.u32(1)
        text.append(label + "\0")
        text.append(context)
        text.u32(bits)
        return Array(hash.authenticate(text.bytes, key: key)[..<Int(bits / 8)])
    }

    private func sized(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8(bytes.count >> 8), UInt8(bytes.count & 0xFF)] + bytes
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
        TPMEvidence.refusal(
            "tpm.activation.failed",
            .evidence,
            "credential activation",
            "the secret that only this TPM can open",
            got,
            "the attestation key is not in the TPM with this endorsement key"
        )
    }
}

/// That a TPM has proved it. Only a confirmed request makes one.
public struct Activation: Sendable, Equatable {
    let endorsementKeyHash: [UInt8]
    let attestationKeyName: [UInt8]
}
