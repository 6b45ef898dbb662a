public import TLS

/// Fills the hole that TLS leaves: the handshake proves possession of a key, and the exchange that
/// follows decides what the key is worth.
///
/// It lets every certificate through, because a link opens only with a `Passage`, and only a
/// settled exchange, or a policy that says `anonymous`, has one to give. Where it was told whose
/// name the peer must have, its certificate must show that too, beside the Evidence: a machine with
/// the same measurements elsewhere has Evidence as good, but not the name.
public struct ChannelVerifier: PeerVerifier {
    /// Whether the peer must present a certificate: it must where it has to attest, since its key
    /// is part of what its Evidence covers.
    public let demandsCertificate: Bool
    private let name: WebServerVerifier?

    /// Where a name has to be vouched for.
    public var readsChain: Bool { name != nil }

    /// Says whether a certificate is demanded, and who vouches for the peer's name where that is
    /// asked for.
    public init(demandsCertificate: Bool, name: WebServerVerifier? = nil) {
        self.demandsCertificate = demandsCertificate
        self.name = name
    }

    /// Accepts; a demanded certificate that is missing never gets here (`certificate_required`).
    public func judge(_ handshake: Handshake) throws(TLSError) {
        if demandsCertificate, handshake.peerKey == nil {
            throw TLSError("the peer presented no certificate")
        }
        try name?.judge(handshake)
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
