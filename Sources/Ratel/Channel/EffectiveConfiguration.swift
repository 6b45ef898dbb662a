internal import Keys
internal import Streams

/// What a side tells its peer about how it runs, as JSON, hashed into every binding as sent.
///
/// Facts that a relying party decides on, and no secret: no path, key, token or address.
struct EffectiveConfiguration {
    let use: String
    let accessLog: AccessLog
    let upstream: String
    let forwardsClientAddress: Bool
    let policyDigest: [UInt8]

    /// The document, with its members in a fixed order.
    var encoded: [UInt8] {
        let members: [(String, String)] = [
            ("access_log", Failure.quoted(accessLog.rawValue)),
            ("backend", Failure.quoted(upstream)),
            ("forwards_client_address", forwardsClientAddress ? "true" : "false"),
            ("padding", Failure.quoted("off")),
            ("policy", Failure.quoted(Hex.encode(policyDigest))),
            ("use", Failure.quoted(use)),
            ("version", Failure.quoted(RatelVersion.current)),
        ]
        let pairs = members.map { Failure.quoted($0.0) + ":" + $0.1 }
        return Array(("{" + pairs.joined(separator: ",") + "}").utf8)
    }
}

/// The version of this program.
public enum RatelVersion {
    /// Semantic version.
    public static let current = "0.1.0"
}
