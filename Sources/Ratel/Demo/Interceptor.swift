public import Loop
internal import RATLS
internal import Streams
internal import TLS

/// The attacker of the demo and of the attack tests: it answers in a server's place with a key of
/// its own, and passes the real server's Evidence on unchanged.
///
/// Nothing in it is privileged: it can do what anyone on the path can who holds some certificate.
/// Callers must refuse it, because the Evidence covers another connection and another key.
public final class Interceptor: Listener {
    private let server: Address
    fileprivate let front: ChannelIdentity
    fileprivate let back: ChannelIdentity

    /// Listens at `address` and passes everything on to `server`.
    public init(
        on loop: EventLoop, address: Address, server: Address
    ) throws(ConfigurationError) {
        self.server = server
        let verifier = ChannelVerifier(demandsCertificate: false)
        front = try makeIdentity(
            .server, [ChannelProtocol.attestedHTTP1], verifier, nil, nil)
        back = try makeIdentity(.client, [ChannelProtocol.attestedHTTP1], verifier, nil, nil)
        do {
            try super.init(on: loop, address: address)
        } catch {
            throw ConfigurationError("\(address): \(error)")
        }
    }

    public override func didBecomeReady() {
        let caller = InterceptedLink(on: loop, kind: address)
        do {
            try caller.accept(from: self)
        } catch {
            return caller.close()
        }
        let upstream = InterceptedLink(on: loop, kind: server)
        caller.other = upstream
        upstream.other = caller
        upstream.onConnect = { [back] link in
            link.begin(back.current.context, serverName: nil, preamble: Passing())
        }
        caller.begin(front.current.context, serverName: nil, preamble: Passing())
        do {
            try upstream.connect(to: server)
        } catch {
            caller.didBreak(.socket(error))
        }
    }
}

private final class InterceptedLink: Link {
    /// Strong both ways; cut when either closes.
    var other: InterceptedLink?
    var onConnect: ((InterceptedLink) -> Void)?
    var isReady = false
    private var waiting: [UInt8] = []

    override func didConnect(_ failure: SocketError?) {
        if let failure { return didBreak(.socket(failure)) }
        onConnect?(self)
        onConnect = nil
    }

    func pass(_ bytes: [UInt8]) {
        waiting += bytes
        guard isReady else { return }
        sendMessage(waiting)
        waiting = []
    }

    override func didBreak(_ error: LinkError) {
        let peer = other
        other = nil
        onConnect = nil
        close()
        peer?.didBreak(error)
    }
}

/// Hands every frame to the other side as it came.
private final class Passing: Preamble {
    func begin(_ link: Link, handshake: Handshake) {
        guard let link = link as? InterceptedLink else { return }
        link.isReady = true
        link.pass([])
    }

    func receive(_ bytes: [UInt8], on link: Link) {
        (link as? InterceptedLink)?.other?.pass(bytes)
    }

    func linkDidBreak(_ link: Link) {}
}
