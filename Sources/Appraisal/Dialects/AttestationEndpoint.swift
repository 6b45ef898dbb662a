public import Keys
public import RATS

/// Where systems that have nothing in their certificates say what they are, over the same TLS
/// connection: a request with a nonce, and an answer in JSON that covers nonce and key.
public enum AttestationEndpoint: Sendable, CaseIterable {
    /// Tinfoil, versions 2 and 3 of its document.
    case tinfoil
    /// NEAR AI's and Phala's proxies before inference servers.
    case near

    /// Bytes of a nonce.
    public static let nonceSize = 32
    /// Bytes of an answer: NEAR AI's have 300 KiB with eight GPUs, and as much again for what is
    /// listed twice.
    public static let maximumAnswer = 2 << 20

    /// Path and query of the request.
    public func path(nonce: [UInt8]) -> String {
        switch self {
        case .tinfoil: "/.well-known/tinfoil-attestation?nonce=\(Hex.encode(nonce))"
        case .near:
            "/v1/attestation/report?include_tls_fingerprint=true&nonce=\(Hex.encode(nonce))"
                + "&signing_algo=ecdsa"
        }
    }

    /// The Evidence in an answer, which has to cover `nonce` and `certificate`'s key; nil where the
    /// answer is another service's.
    public func read(
        _ answer: [UInt8], nonce: [UInt8], certificate: Certificate
    ) throws(Refusal) -> CarriedEvidence? {
        guard answer.count <= AttestationEndpoint.maximumAnswer,
            let document = JSONParser.parse(answer)
        else { return nil }
        switch self {
        case .tinfoil:
            return try TinfoilDocument.read(document, nonce: nonce, certificate: certificate)
        case .near: return try NEARReport.read(document, nonce: nonce, certificate: certificate)
        }
    }

    static func refusal(
        _ dialect: Dialect, _ code: String, _ field: String, _ expected: String, _ got: String
    ) -> Refusal {
        Refusal(
            "endpoint.\(code)", code == "malformed" ? .evidence : .binding,
            kind: dialect.rawValue, field: field, expected: expected, got: got,
            remedy: code == "malformed"
                ? "update this side, or have the server answer as it is published"
                : "the answer is not of this connection: something sits between, or it is old")
    }

    static func malformed(_ dialect: Dialect, _ field: String, _ expected: String) -> Refusal {
        refusal(dialect, "malformed", field, expected, "something else")
    }
}
