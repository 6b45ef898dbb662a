public import Keys
public import RATS

/// What a person trusts beside the vendors' roots, for one run.
public struct TrustAnchors: Sendable {
    /// Certificates whose keys are trusted.
    public private(set) var certificates: [Certificate] = []
    /// Bare keys that are trusted, such as a TPM's attestation key.
    public private(set) var keys: [PublicKey] = []

    /// Keys of other Verifiers that are trusted; the bare keys are too.
    private var sets: [VerifierKeys] = []

    var verifiers: VerifierKeys { VerifierKeys(sets + [VerifierKeys(keys)]) }

    /// None beside the vendors'.
    public init() {}

    /// Adds what a file holds: certificates in PEM or DER, a public key in PEM, or a
    /// JSON Web Key Set.
    public mutating func add(_ bytes: [UInt8]) throws(Refusal) {
        let text = String(decoding: bytes, as: UTF8.self)
        do throws(KeyError) {
            if text.contains("-----BEGIN CERTIFICATE") {
                certificates += try Certificate.read(pem: text)
            } else if text.contains("-----BEGIN PUBLIC KEY") {
                keys.append(try PublicKey(pem: text))
            } else if bytes.first == UInt8(ascii: "{") {
                guard let set = try? VerifierKeys(parsing: bytes) else {
                    throw KeyError(.malformed, "no JSON Web Key Set")
                }
                sets.append(set)
            } else {
                certificates.append(try Certificate(der: bytes))
            }
        } catch {
            throw Refusal(
                "anchor.malformed", .configuration, field: "--root",
                expected: "certificates in PEM or DER, a public key in PEM, or a JSON Web Key Set",
                got: error.description, remedy: "name another file")
        }
    }

    /// SHA-256 of the SubjectPublicKeyInfo of everything here.
    var pins: [[UInt8]] {
        certificates.map { Digest.sha256($0.spki) } + keys.map { Digest.sha256($0.spki) }
    }

    /// Whether the key is one of these.
    func trust(_ key: PublicKey) -> Bool { pins.contains(Digest.sha256(key.spki)) }
}
