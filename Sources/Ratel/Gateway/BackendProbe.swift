internal import Loop
internal import Streams

/// Asks again and again whether something accepts connections at the backend's address.
final class BackendProbe {
    /// 2 s: a readiness probe of Kubernetes asks every 10 s by default, so it sees fresh news.
    private static let period: UInt64 = 2_000

    private let loop: EventLoop
    private let address: Address
    private let report: (String?) -> Void
    private var timer: LoopTimer?
    private var current: ProbeSocket?

    /// Reports nil when the backend accepts, else why not, on `loop`.
    init(_ address: Address, on loop: EventLoop, report: @escaping (String?) -> Void) {
        self.loop = loop
        self.address = address
        self.report = report
        let timer = LoopTimer(on: loop) { [unowned self] in self.ask() }
        timer.start(after: 0, every: BackendProbe.period)
        timer.detach()
        self.timer = timer
    }

    func close() {
        timer?.close()
        timer = nil
        current?.close()
    }

    private func ask() {
        if let current {
            // The last one has had a whole period.
            current.close()
            self.current = nil
            report("\(address) does not answer")
        }
        guard case .ip(let host, let port) = address else { return connect(to: address) }
        Resolver.resolve(host: host, port: port, on: loop) { [weak self] found in
            guard let self, self.timer != nil else { return }
            switch found {
            case .success(let addresses): self.connect(to: addresses[0])
            case .failure(let error): self.report("\(host): \(error)")
            }
        }
    }

    private func connect(to target: Address) {
        let socket = ProbeSocket(on: loop, kind: target)
        socket.onResult = { [weak self] failure in
            self?.current = nil
            self?.report(failure.map { "\(target): \($0)" })
        }
        current = socket
        do {
            try socket.connect(to: target)
        } catch {
            socket.onResult = nil
            socket.close()
            current = nil
            report("\(target): \(error)")
        }
    }
}

private final class ProbeSocket: Socket {
    var onResult: ((SocketError?) -> Void)?

    override func didConnect(_ failure: SocketError?) {
        let report = onResult
        onResult = nil
        close()
        report?(failure)
    }

    override func didClose() {
        onResult = nil
    }
}
