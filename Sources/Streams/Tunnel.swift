internal import Bytes
internal import HTTP
internal import Loop

/// A caller's connection and the one to its backend: each one's bytes are the other's, unread.
///
/// A side that cannot take more stops the other from reading, so that at most one buffer waits per
/// direction; the end of one direction is passed on, and the other goes on until it ends too.
final class Tunnel {
    /// Nil once it is over: the listener keeps it until then.
    private var listener: TunnelListener?
    private let caller: TunnelSide
    private var backend: TunnelSide? {
        didSet { lent = backend.map { Borrowed($0) } }
    }
    /// The same, uncounted: `backend` keeps it alive.
    private var lent: Borrowed<TunnelSide>?
    private let route: any TunnelRoute

    private var target: TunnelTarget?
    /// Addresses of the target that are not tried yet.
    private var remaining: [Address] = []
    /// Counts what was begun to be resolved, so that an answer that comes late is not taken.
    private var attempt = 0
    /// What came of the PROXY protocol's header; nil where none is awaited.
    private var early: [UInt8]?
    /// What the caller sent behind it.
    private var first: [UInt8] = []
    private var told: Address?
    private var timer: LoopTimer?
    private var isRelaying = false
    private var hasCallerEnded = false
    private var hasBackendEnded = false
    private var finished = 0
    private var lastProgress: UInt64
    private let began: UInt64
    private var summary = TunnelSummary()

    init(_ caller: TunnelSide, of listener: TunnelListener) {
        self.listener = listener
        self.caller = caller
        route = listener.service.makeRoute()
        began = caller.now
        lastProgress = began
        summary.remote = caller.peerAddress
        // The sides are closed before this goes.
        caller.tunnel = Borrowed(self)
    }

    func begin() {
        guard let service = listener?.service else { return }
        service.metrics.openStreams.add(1)
        timer = LoopTimer(on: caller.loop) { [unowned self] in self.timeIsUp() }
        guard service.awaitsProxyHeader else { return connect() }
        early = []
        // So that what follows the header fits behind the one that goes on.
        caller.readSize = BufferPool.plaintextSize
        timer?.start(after: Budgets().proxyHeader)
        caller.startReading()
    }

    private func timeIsUp() {
        if early != nil { return end(.noProxyHeader) }
        guard isRelaying else { return abandon(.timedOut) }
        // Progress does not touch the timer; it only moves the time that this compares with.
        guard let idle = listener?.service.idle else { return }
        let waited = caller.now - lastProgress
        if waited >= idle { return end(.tunnelIdle(idle)) }
        timer?.start(after: idle - waited)
    }

    // MARK: Connecting

    private func connect() {
        guard let target = route.next() else { return end(.tunnelUnreachable) }
        self.target = target
        timer?.start(after: target.connect)
        guard case .ip(let host, let port) = target.address else {
            remaining = [target.address]
            return connectNext(after: .nameNotFound)
        }
        attempt += 1
        // The tunnel is kept by this closure until the name is resolved.
        Resolver.resolve(host: host, port: port, on: caller.loop) { [self, attempt] found in
            guard listener != nil, attempt == self.attempt else { return }
            switch found {
            case .success(let addresses):
                remaining = addresses
                connectNext(after: .nameNotFound)
            case .failure(let error): abandon(error)
            }
        }
    }

    private func connectNext(after error: SocketError) {
        guard !remaining.isEmpty else { return abandon(error) }
        let address = remaining.removeFirst()
        let side = TunnelSide(on: caller.loop, kind: address, isCaller: false)
        side.tunnel = Borrowed(self)
        backend = side
        do {
            try side.connect(to: address)
        } catch {
            dropBackend()
            connectNext(after: error)
        }
    }

    func backendDidConnect(_ failure: SocketError?) {
        if let failure {
            dropBackend()
            return connectNext(after: failure)
        }
        guard let backend, let service = listener?.service else { return }
        var opening = first
        first = []
        if target?.announcesCaller == true { opening = announcement + opening }
        isRelaying = true
        lastProgress = caller.now
        timer?.start(after: service.idle)
        backend.startReading()
        guard !opening.isEmpty else { return caller.startReading() }
        guard var buffer = caller.lendBuffer() else { return end(.noBuffer) }
        // A header of 52 bytes, and a read of 16 KiB behind at most 536 bytes of another.
        guard buffer.append(opening.span) == opening.count else { return end(.noBuffer) }
        if case .sent = send(buffer, to: backend) { caller.startReading() }
    }

    private func dropBackend() {
        backend?.tunnel = nil
        backend?.close()
        backend = nil
    }

    /// The target cannot be had; nothing was sent, so that another one may.
    private func abandon(_ error: SocketError) {
        attempt += 1
        dropBackend()
        listener?.service.metrics.upstreamFailures.add(1)
        route.failed(error)
        connect()
    }

    // MARK: Relaying

    func callerDidRead(_ bytes: consuming Buffer) {
        if early != nil { return takeEarly(bytes) }
        guard let lent else { return }
        lastProgress = caller.now
        summary.sent &+= UInt64(bytes.count)
        var outcome = WriteOutcome.sent
        lent.with(bytes) { outcome = $0.write($1) }
        switch outcome {
        case .sent: break
        case .pending: caller.stopReading()
        case .failed(let error): end(.tunnelBroken("backend", error))
        }
    }

    func backendDidRead(_ bytes: consuming Buffer) {
        lastProgress = caller.now
        summary.received &+= UInt64(bytes.count)
        switch caller.write(bytes) {
        case .sent: break
        case .pending: lent?.with { $0.stopReading() }
        case .failed(let error): end(.tunnelBroken("caller", error))
        }
    }

    private func send(_ bytes: consuming Buffer, to side: TunnelSide) -> WriteOutcome {
        let outcome = side.write(bytes)
        if case .failed(let error) = outcome { end(.tunnelBroken("backend", error)) }
        return outcome
    }

    func callerDidDrain() {
        lastProgress = caller.now
        if !hasBackendEnded { lent?.with { $0.startReading() } }
    }

    func backendDidDrain() {
        lastProgress = caller.now
        if isRelaying, !hasCallerEnded { caller.startReading() }
    }

    // MARK: The PROXY protocol

    private func takeEarly(_ bytes: consuming Buffer) {
        early?.append(copying: bytes.bytes)
        guard let received = early else { return }
        do throws(HTTPRefusal) {
            guard let parsed = try ProxyHeader.parse(received.span) else { return }
            early = nil
            caller.stopReading()
            first = Array(received[parsed.consumed...])
            take(parsed.header)
            connect()
        } catch {
            end(.badProxyHeader(error))
        }
    }

    private func take(_ header: ProxyHeader) {
        switch header.origin {
        case .local: break
        case .unknown: summary.remote = nil
        case .relayed(let source, let destination):
            summary.remote = Address(octets: source.address, port: source.port)
            told = Address(octets: destination.address, port: destination.port)
        }
    }

    private var announcement: [UInt8] {
        ProxyHeader(from: summary.remote, to: told ?? caller.localAddress).serialise()
    }

    // MARK: Ends

    func callerDidEnd() {
        // Who ends before its header is whole, or before there is a backend, wants nothing.
        guard isRelaying else { return end(early == nil ? .clientLeft : .noProxyHeader) }
        hasCallerEnded = true
        lastProgress = caller.now
        backend?.finishWriting()
    }

    func backendDidEnd() {
        hasBackendEnded = true
        lastProgress = caller.now
        caller.finishWriting()
    }

    /// One direction's end was passed on.
    func sideDidFinish() {
        finished += 1
        if finished == 2 { end(nil) }
    }

    /// Closes both sides; `failure` is nil when each had ended.
    func end(_ failure: Failure?) {
        guard let listener else { return }
        self.listener = nil
        timer?.close()
        timer = nil
        caller.tunnel = nil
        caller.last = self
        caller.close()
        dropBackend()
        listener.service.metrics.openStreams.add(-1)
        summary.duration = caller.now - began
        summary.failure = failure
        route.ended(summary)
        listener.forget(self)
    }
}

extension Failure {
    static let tunnelClosed = Failure(
        status: 0, code: "tunnel.closed", message: "this process is ending", stage: "response")

    static let tunnelUnreachable = Failure(
        status: 0, code: "proxy.backends.down", message: "no backend can be connected to",
        stage: "connect", field: "backends", expected: "one that is up", got: "none",
        remedy: "start one of them; health checks bring it back")

    static func tunnelIdle(_ limit: UInt64) -> Failure {
        Failure(
            status: 0, code: "tunnel.idle", message: "nothing moved for too long",
            stage: "response", expected: "a byte within \(limit) ms", got: "none",
            remedy: "raise `idle_timeout`, or have the ends keep their connection alive")
    }

    static func tunnelBroken(_ side: String, _ error: SocketError) -> Failure {
        Failure(
            status: 0, code: "tunnel.broken", message: "the connection of the \(side) broke",
            stage: "response", expected: "an end in order", got: error.description)
    }
}
