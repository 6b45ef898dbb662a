public import Keys
public import RATS

/// The message of Flashbots' attested TLS proxy after the handshake (ALPN `flashbots-ratls/1`): its
/// length as u32, big-endian, then SCALE `{attestation_type: String, attestation: Vec<u8>}`.
///
/// report_data is a hash of the sender's key ‖ the session's channel binding (RFC 9266). The
/// protocol's words are the key "DER encoded exactly as given in the certificate", the published
/// implementation hashes the bare subjectPublicKey: both tie the quote to that key, and both are
/// taken.
public struct FlashbotsMessage: Sendable {
    /// The name in ALPN.
    public static let applicationProtocol = "flashbots-ratls/1"
    /// The exporter's label, RFC 9266 section 4; no context, 32 bytes.
    public static let exporterLabel = "EXPORTER-Channel-Binding"
    /// Bytes that a message may have: MAX_ATTESTATION_LEN_BYTES of the published implementation.
    public static let maximumSize = 64 * 1024
    /// The message of a side that does not attest: `none`, and nothing.
    public static let none: [UInt8] = [0, 0, 0, 6, 4 << 2] + Array("none".utf8) + [0]

    /// Types whose attestation is a bare quote.
    private static let quotes = ["dcap-tdx", "gcp-tdx", "qemu-tdx"]

    private let type: String
    private let attestation: [UInt8]

    /// The message at the front of `bytes`, and what it takes with its length; nil where more has
    /// to come.
    public static func read(
        _ bytes: [UInt8]
    ) throws(Refusal) -> (message: FlashbotsMessage, consumed: Int)? {
        guard bytes.count >= 4 else { return nil }
        let count = bytes[..<4].reduce(0) { $0 << 8 | Int($1) }
        guard count <= maximumSize else {
            throw malformed("at most \(maximumSize) bytes", "\(count)")
        }
        guard bytes.count >= 4 + count else { return nil }
        return (try FlashbotsMessage(Array(bytes[4..<4 + count])), 4 + count)
    }

    init(_ bytes: [UInt8]) throws(Refusal) {
        var reader = ScaleReader(bytes)
        guard let type = reader.text(), let attestation = reader.bytes(), reader.isAtEnd else {
            throw FlashbotsMessage.malformed("SCALE of a type and bytes", "something else")
        }
        self.type = type
        self.attestation = attestation
    }

    /// The Evidence in it, which has to cover `certificate`'s key and `binding`, the exporter's 32
    /// bytes on this very connection.
    public func carried(
        _ certificate: Certificate, binding: [UInt8]
    ) throws(Refusal) -> CarriedEvidence {
        guard FlashbotsMessage.quotes.contains(type) else {
            throw FlashbotsMessage.refusal(
                type == "none" ? "session.evidence.none" : "session.evidence.unread",
                "attestation_type", FlashbotsMessage.quotes.joined(separator: " or "), type,
                "run the server in a trust domain")
        }
        guard binding.count == 32 else {
            throw FlashbotsMessage.malformed("an exporter of 32 bytes", "\(binding.count)")
        }
        return try CarriedEvidence(
            .flashbots, "after the handshake", try ForeignPiece(quote: attestation),
            [
                .init(
                    "SHA-256(SubjectPublicKeyInfo) ‖ exporter",
                    Digest.sha256(certificate.spki) + binding),
                .init(
                    "SHA-256(subjectPublicKey) ‖ exporter",
                    Digest.sha256(certificate.publicKey.bare) + binding),
            ], code: "session.binding")
    }

    private static func malformed(_ expected: String, _ got: String) -> Refusal {
        refusal("session.malformed", "message", expected, got, "update this side or the server")
    }

    private static func refusal(
        _ code: String, _ field: String, _ expected: String, _ got: String, _ remedy: String
    ) -> Refusal {
        Refusal(
            code, .evidence, kind: Dialect.flashbots.rawValue, field: field, expected: expected,
            got: got, remedy: remedy)
    }
}
