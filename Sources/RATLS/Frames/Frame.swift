public import RATS

/// One frame of the exchange: type u8 ‖ length u24 ‖ body; protocol.md, "The exchange".
public struct Frame: Sendable, Equatable {
    /// What a frame says.
    public enum Kind: UInt8, Sendable, CaseIterable {
        /// What is asked of the peer.
        case challenge = 1
        /// Evidence over this connection.
        case evidence = 2
        /// A signature in place of Evidence, by a key known from earlier Evidence.
        case lease = 3
        /// Whether the peer's Evidence was accepted.
        case result = 4
        /// A credential for the peer's TPM to activate.
        case activation = 5
        /// The secret that was in the credential.
        case activated = 6

        /// The most bytes that a body may have.
        ///
        /// Challenge and Evidence: protocol.md. A lease is 32 + 32 + 48 + 64 bytes, a credential
        /// at most 132 + 514 (a TPM2B_ID_OBJECT of SHA-512, an RSA 4096 secret), its secret at
        /// most 64; all with room. A result has a text of at most 2 KiB (`ResultBody`).
        public var limit: Int {
            switch self {
            case .challenge, .result: 4 * 1024
            case .evidence: 1024 * 1024
            case .lease, .activation: 1024
            case .activated: 128
            }
        }
    }

    /// The bytes before the body.
    public static let headerSize = 4

    /// What the frame says.
    public let kind: Kind
    /// What it says it with.
    public let body: [UInt8]

    /// Makes a frame; the body must be within the limit of its kind.
    public init(_ kind: Kind, _ body: [UInt8]) {
        precondition(body.count <= kind.limit, "a frame over its limit")
        self.kind = kind
        self.body = body
    }

    /// The frame as it travels.
    public var encoded: [UInt8] {
        let count = body.count
        let length = [UInt8(count >> 16), UInt8(count >> 8 & 0xFF), UInt8(count & 0xFF)]
        return [kind.rawValue] + length + body
    }

    /// The frame at the front of `bytes`, or `nil` if it is not all there yet.
    ///
    /// Type and length are judged as soon as they are there, before any of the body.
    public static func decode(_ bytes: ArraySlice<UInt8>) throws(Refusal) -> Frame? {
        guard let type = bytes.first else { return nil }
        guard let kind = Kind(rawValue: type) else {
            throw ExchangeRules.refusal(
                "exchange.frame.unknown",
                "frame type",
                expected: "1 to 6",
                got: "\(type)"
            )
        }
        guard bytes.count >= headerSize else { return nil }
        let header = bytes.prefix(headerSize).dropFirst()
        let length = header.reduce(0) { $0 << 8 | Int($1) }
        guard length <= kind.limit else {
            throw ExchangeRules.refusal(
                "exchange.frame.too_long",
                "\(kind) frame",
                expected: "up to \(kind.limit) bytes",
                got: "\(length)"
            )
        }
        guard bytes.count >= headerSize + length else { return nil }
        return Frame(kind, Array(bytes.dropFirst(headerSize).prefix(length)))
    }
}

/// The words for a peer that breaks the rules of the exchange.
enum ExchangeRules {
    static func refusal(
        _ code: String,
        _ field: String,
        expected: String,
        got: String,
        stage: Refusal.Stage = .exchange
    ) -> Refusal {
        Refusal(
            code,
            stage,
            field: field,
            expected: expected,
            got: got,
            remedy: "check that nothing sits between, and that both sides run compatible versions"
        )
    }
}
