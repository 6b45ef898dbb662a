internal import Loop
internal import RATLS
internal import Streams
internal import TLS

/// Opens a link once its TLS handshake is done: callers and backends that are not attested.
final class WebPreamble: Preamble {
    /// Whom the link leads to.
    enum Peer {
        case caller(WebCallerVerifier)
        case server(WebServerVerifier)
    }

    private let peer: Peer
    private let log: ChannelLog

    init(_ peer: Peer, log: ChannelLog) {
        self.peer = peer
        self.log = log
    }

    func begin(_ link: Link, handshake: Handshake) {
        log.handshakes.addShared(1)
        switch peer {
        case .caller(let verifier): link.open(verifier.passage(handshake), leftover: [])
        case .server(let verifier):
            do throws(TLSError) {
                link.open(try verifier.passage(handshake), leftover: [])
            } catch {
                link.didBreak(.tls(error))
            }
        }
    }

    // Nothing is said between the handshake and the first request.
    func receive(_ bytes: [UInt8], on link: Link) {}
    func linkDidBreak(_ link: Link) {}
}
