public import Keys
public import TLS

/// Checks an ordinary HTTPS server: its certificate leads to one of the anchors and is for its
/// name. For what is signed on its own, such as collateral, and never for a peer that attests.
public struct WebServerVerifier: PeerVerifier {
    /// The host of the URL: a name or an address.
    public let host: String
    private let anchors: [Certificate]
    private let now: @Sendable () -> Int64

    /// A server always presents one.
    public var demandsCertificate: Bool { true }

    /// Its certificates lead to an anchor.
    public var readsChain: Bool { true }

    /// Trusts `anchors` to name the server `host`; `now` is the Unix time.
    public init(host: String, anchors: [Certificate], now: @escaping @Sendable () -> Int64) {
        self.host = host
        self.anchors = anchors
        self.now = now
    }

    /// Refuses a server whose certificate is not for this host, or leads elsewhere.
    public func judge(_ handshake: Handshake) throws(TLSError) {
        do throws(KeyError) {
            guard let first = handshake.peerChain.first else {
                throw KeyError(.chain, "certificate: none")
            }
            var options = CertificateChain.Options()
            options.serverName = host
            // Others than the leaf may be of any kind: what cannot be read cannot be on the path.
            try CertificateChain.validate(
                try Certificate(der: first),
                intermediates: handshake.peerChain.dropFirst().compactMap {
                    try? Certificate(der: $0)
                },
                anchors: anchors, now: now(), options: options)
        } catch {
            throw TLSError("the server's certificate: \(error)")
        }
    }

    /// Opens the connection of a handshake that this verifier let through.
    public func passage(_ handshake: Handshake) throws(TLSError) -> Passage {
        try judge(handshake)
        return Passage(channelID: handshake.channelID)
    }
}
