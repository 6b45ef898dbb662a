/// Why bytes were not the key, certificate or signature that they were taken for.
///
/// The text names the structure and the rule, never key material.
public struct KeyError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kind of failure.
    public enum Reason: String, Sendable {
        /// The bytes do not parse, or not strictly.
        case malformed
        /// The algorithm or shape is one that Ratel does not take.
        case unsupported
        /// A signature does not verify.
        case signature
        /// A certificate chain does not verify.
        case chain
        /// A certificate of a chain was revoked by its issuer.
        case revoked
        /// The library failed where it should not.
        case library
    }

    /// The kind of failure.
    public let reason: Reason
    /// What was wrong, in words.
    public let description: String

    /// Makes an error of a kind, with the words for it.
    public init(_ reason: Reason, _ description: String) {
        self.reason = reason
        self.description = description
    }
}
