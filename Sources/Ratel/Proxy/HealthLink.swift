internal import Bytes
internal import HTTP
internal import Loop
internal import RATLS
internal import Streams
internal import TLS

/// One check of a backend: a connection, and a request where one is asked for.
final class HealthLink: Link {
    private let backend: BackendState
    private let address: Address
    /// Nil once it is over.
    private var report: ((String?) -> Void)?
    private var received: [UInt8] = []

    init(
        _ backend: BackendState, on loop: EventLoop, to address: Address,
        report: @escaping (String?) -> Void
    ) {
        self.backend = backend
        self.address = address
        self.report = report
        super.init(on: loop, kind: address)
    }

    func start() {
        do throws(SocketError) {
            try connect(to: address)
        } catch {
            finish("\(address): \(error)")
        }
    }

    /// Ends it without a report.
    func abandon() {
        report = nil
        close()
    }

    private func finish(_ trouble: String?) {
        let report = report
        self.report = nil
        report?(trouble)
    }

    override func didConnect(_ failure: SocketError?) {
        if let failure { return finish("\(address): \(failure)") }
        if backend.settings.announcesCaller, !announce() { return finish("no buffer is free") }
        guard backend.settings.health.path != nil else { return finish(nil) }
        switch backend.security {
        case .plain: begin()
        case .tls(let context, let serverName, let makePreamble):
            begin(context(), serverName: serverName, preamble: makePreamble())
        }
    }

    /// Says that this is a check and nobody's connection.
    private func announce() -> Bool {
        guard var buffer = lendBuffer() else { return false }
        let header = ProxyHeader(.local).serialise()
        _ = buffer.append(header.span)
        if case .failed = write(buffer) { return false }
        return true
    }

    override func didOpen() {
        let host =
            switch backend.way {
            case .tls(_, let verifier): verifier.host
            case .plain, .attested: address.isUnix ? "localhost" : address.description
            }
        let head =
            "GET \(backend.settings.health.path ?? "/") HTTP/1.1\r\nhost: \(host)\r\n"
            + "user-agent: ratel\r\nconnection: close\r\n\r\n"
        sendMessage(Array(head.utf8))
    }

    override func didReceive(_ plaintext: consuming Buffer) {
        received.append(copying: plaintext.bytes)
        do throws(HTTPRefusal) {
            let bytes = received
            let parsed = try ResponseHead.parse(
                bytes.span, limits: HTTPLimits(), requestMethod: "GET")
            guard let head = parsed?.head else { return }
            finish(head.status / 100 == 2 ? nil : "status \(head.status)")
        } catch {
            finish("\(error)")
        }
    }

    override func didReceiveEnd() { finish("it closed before it answered") }

    override func didBreak(_ error: LinkError) { finish("\(error)") }
}

extension Address {
    fileprivate var isUnix: Bool { if case .unix = self { true } else { false } }
}
