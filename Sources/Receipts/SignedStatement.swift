public import Keys
public import RATS

/// A JSON object with an ECDSA signature on P-256 over its canonical form.
///
/// What is signed is the kind's label, a zero byte and the canonical bytes of the body: a
/// statement of one kind is none of another. It travels as
/// `{"body": …, "key": SubjectPublicKeyInfo, "signature": r ‖ s}`, both in lower-case hexadecimal.
public struct SignedStatement: Sendable, Equatable {
    /// What a statement says.
    public enum Kind: String, Sendable, CaseIterable {
        /// A provider's terms.
        case offer = "ratel/offer/1"
        /// A provider's facts of one request.
        case service = "ratel/service/1"
        /// A router's account of one request.
        case receipt = "ratel/receipt/1"
        /// The root over an hour of a ledger.
        case export = "ratel/export/1"
    }

    /// What it says.
    public let kind: Kind
    /// The object that was signed.
    public let body: JSONValue
    /// SubjectPublicKeyInfo of the key that signed.
    public let key: [UInt8]
    /// r ‖ s, 64 bytes.
    public let signature: [UInt8]
    /// The canonical bytes of the body.
    public let canonical: [UInt8]

    /// Bytes of a statement: a receipt with 64 attempts has some 16 KiB.
    public static let maxSize = 64 << 10

    /// Signs `body` with `key`. Errors: `malformed` where it has no canonical form.
    public init(_ kind: Kind, _ body: JSONValue, signedBy key: PrivateKey) throws(KeyError) {
        self.kind = kind
        self.body = body
        self.key = key.spki
        canonical = try CanonicalJSON.encode(body)
        signature = try key.signRaw(SignedStatement.message(kind, canonical))
    }

    /// Reads a statement and checks its signature; whose key it is, is the reader's to know.
    ///
    /// Errors: `receipt.malformed`, `receipt.signature.invalid`.
    public init(_ kind: Kind, reading value: JSONValue?) throws(Refusal) {
        let fields = try StatementFields(value, at: kind.rawValue, ["body", "key", "signature"])
        self.kind = kind
        body = fields.value("body") ?? .null
        // On P-256: 91 bytes.
        key = try fields.bytes("key", 91...91)
        signature = try fields.bytes("signature", 64...64)
        do throws(KeyError) {
            canonical = try CanonicalJSON.encode(body)
            let isValid = try PublicKey(spki: key).verifies(
                raw: signature, over: SignedStatement.message(kind, canonical))
            guard isValid else { throw KeyError(.signature, "it does not hold") }
        } catch {
            throw Refusal(
                "receipt.signature.invalid", .evidence, field: kind.rawValue,
                expected: "a signature over the body by the key beside it", got: "\(error)",
                remedy: "do not rely on it: it was changed, or was never signed")
        }
    }

    /// What it travels as.
    public var json: JSONValue {
        .members([
            ("body", body), ("key", .string(Hex.encode(key))),
            ("signature", .string(Hex.encode(signature))),
        ])
    }

    /// SHA-256 of what was signed: what others name it by.
    public var digest: [UInt8] { Digest.sha256(SignedStatement.message(kind, canonical)) }

    private static func message(_ kind: Kind, _ canonical: [UInt8]) -> [UInt8] {
        Array(kind.rawValue.utf8) + [0] + canonical
    }
}
