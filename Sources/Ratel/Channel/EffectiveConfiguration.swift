internal import Keys

/// What a side tells its peer about how it runs, as JSON, hashed into every binding as sent.
///
/// Facts that a relying party decides on, and no secret: no path, key, token or address.
struct EffectiveConfiguration {
    let use: String
    let accessLog: AccessLog
    let upstream: String
    let forwardsClientAddress: Bool
    /// What every request on the connection gets, at least.
    let padding: Padding
    let policyDigest: [UInt8]
    /// SHA-256 of the key that offers and receipts are signed with; nil where none is.
    var receiptKey: [UInt8]?

    /// The document, with its members in a fixed order.
    var encoded: [UInt8] {
        var members: [(String, JSONValue)] = [
            ("access_log", .string(accessLog.rawValue)),
            ("backend", .string(upstream)),
            ("forwards_client_address", .bool(forwardsClientAddress)),
            ("padding", .string(padding.rawValue)),
            ("policy", .string(Hex.encode(policyDigest))),
            ("receipt_key", receiptKey.map { .string(Hex.encode($0)) } ?? .null),
            ("use", .string(use)),
            ("version", .string(RatelVersion.current)),
        ]
        members.removeAll { $0.1 == .null }
        return Array(JSONValue.members(members).serialised().utf8)
    }
}

/// The version of this program.
public enum RatelVersion {
    /// Semantic version.
    public static let current = "0.1.0"
}
