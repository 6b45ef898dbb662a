/// What decides on a peer; every context is made with one, so that forgetting to verify does not
/// compile.
///
/// TLS itself only proves that the peer holds the key of the certificate it presents. Whether that
/// key deserves trust is the verifier's matter: it says before the handshake whether a certificate
/// is demanded, and after it what must still happen before application bytes may cross.
public protocol PeerVerifier: Sendable {
    /// Whether a peer without a certificate is refused with `certificate_required` (RFC 8446
    /// section 6.2).
    var demandsCertificate: Bool { get }

    /// Whether it looks at the certificates beside the peer's own.
    var readsChain: Bool { get }

    /// Judges the finished handshake; throws to close it before any application byte.
    func judge(_ handshake: Handshake) throws(TLSError)
}

extension PeerVerifier {
    public var readsChain: Bool { false }
}

/// The facts of one finished handshake.
public struct Handshake: Sendable {
    /// Unique among the sessions of this process.
    public let channelID: UInt64
    /// The protocol that ALPN chose (RFC 7301), nil when the client offered none.
    public let applicationProtocol: String?
    /// SubjectPublicKeyInfo of this side's certificate, DER; nil when it presented none.
    public let localKey: [UInt8]?
    /// SubjectPublicKeyInfo of the peer's certificate, DER; nil when it presented none.
    public let peerKey: [UInt8]?
    /// The peer's certificate, DER.
    public let peerCertificate: [UInt8]?
    /// Every certificate that the peer sent, DER, leaf first; where the verifier reads
    /// them.
    public let peerChain: [[UInt8]]
    /// The cipher suite's standard name.
    public let cipherSuite: String
}

/// The right to exchange application bytes on one session; it cannot be copied.
///
/// Only `RATLS` makes one, from a settled exchange or from a policy that says `anonymous` in so
/// many words; the tidy test holds the package to that.
public struct Passage: ~Copyable, Sendable {
    /// The session that may be opened with it.
    public let channelID: UInt64

    /// For `RATLS` alone.
    package init(channelID: UInt64) {
        self.channelID = channelID
    }
}
