public import TLS

/// Lets every caller in, for listeners that are written to be for the web: `protection: tls`.
///
/// Nothing is asked of the caller and nothing is said of it: the handshake protects bytes alone.
public struct WebCallerVerifier: PeerVerifier {
    /// None is asked for.
    public var demandsCertificate: Bool { false }

    /// For a listener that says so in its configuration.
    public init() {}

    /// Accepts.
    public func judge(_ handshake: Handshake) throws(TLSError) {}

    /// Opens the connection of a finished handshake.
    public func passage(_ handshake: Handshake) -> Passage {
        Passage(channelID: handshake.channelID)
    }
}
