public import TLS

/// Fills the hole that TLS leaves: the handshake proves possession of a key, and the exchange that
/// follows decides what the key is worth.
///
/// It lets every certificate through, because a link opens only with a `Passage`, and only a
/// settled exchange, or a policy that says `anonymous`, has one to give.
public struct ChannelVerifier: PeerVerifier {
    /// Whether the peer must present a certificate: it must where it has to attest, since its key
    /// is part of what its Evidence covers.
    public let demandsCertificate: Bool

    /// Says whether a certificate is demanded.
    public init(demandsCertificate: Bool) {
        self.demandsCertificate = demandsCertificate
    }

    /// Accepts; a demanded certificate that is missing never gets here (`certificate_required`).
    public func judge(_ handshake: Handshake) throws(TLSError) {
        if demandsCertificate, handshake.peerKey == nil {
            throw TLSError("the peer presented no certificate")
        }
    }
}

/// The names that ALPN knows attested connections by (`protocol.md`, The exchange).
public enum ChannelProtocol {
    /// The exchange, then HTTP/1.1.
    public static let attestedHTTP1 = "ratel/1+http/1.1"
    /// The exchange, then HTTP/2.
    public static let attestedHTTP2 = "ratel/1+h2"
    /// HTTP/2 without an exchange, for third-party callers.
    public static let plainHTTP2 = "h2"
    /// Whether connections of this protocol begin with the exchange.
    public static func isAttested(_ name: String?) -> Bool {
        name == attestedHTTP1 || name == attestedHTTP2
    }
    /// HTTP/1.1 without an exchange, for third-party callers.
    public static let plainHTTP1 = "http/1.1"
}
