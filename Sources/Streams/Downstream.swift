public import Bytes
internal import HTTP
public import Loop

/// An accepted connection from a caller.
public final class Downstream: Link {
    /// The caller's address, as the proxy before told it or else as the kernel says; nil on a Unix
    /// socket.
    public private(set) var remote: Address?
    /// The address that the caller connected to, where the proxy before told it.
    private var told: Address?
    /// What came of the PROXY protocol's header; nil where none is awaited.
    private var early: [UInt8]?
    /// Whether the proxy before has said who connected.
    public private(set) var isAnnounced = false
    /// Why this connection is refused, when it was opened only to hear so.
    public private(set) var refusal: Failure? {
        get { trouble?.refusal }
        set { inTrouble.refusal = newValue }
    }
    /// Whether a drain of the listener waits for this.
    var isAwaited = false
    let service: any StreamService
    private let listener: StreamListener
    /// Made when the link opens, gone when it closes; `borrowed` is the same, uncounted.
    private var conversation: Conversation?
    private var borrowed: Borrowed<Conversation>?
    /// In place of it where the caller speaks HTTP/2; `shared` is the same, uncounted.
    private var multiplexed: HTTP2Connection? {
        didSet { shared = multiplexed.map { Borrowed($0) } }
    }
    private var shared: Borrowed<HTTP2Connection>?
    private var opening: LoopTimer?
    private var broken: LinkError? {
        get { trouble?.broken }
        set { inTrouble.broken = newValue }
    }
    /// Apart, since most connections never have any, and idle ones are counted by their size.
    private var trouble: Trouble?

    private final class Trouble {
        var refusal: Failure?
        var broken: LinkError?
    }

    private var inTrouble: Trouble {
        let own = trouble ?? Trouble()
        trouble = own
        return own
    }

    init(listener: StreamListener) {
        self.listener = listener
        service = listener.service
        super.init(on: listener.loop, kind: listener.address)
        readsIn = .last
    }

    func didAccept() {
        remote = peerAddress
        let timer = LoopTimer(on: loop) { [unowned self] in
            self.didBreak(self.early == nil ? .socket(.timedOut) : .refused(.noProxyHeader))
        }
        timer.start(after: service.budgets.handshake)
        opening = timer
    }

    /// Reads the PROXY protocol's header, and only then hands the connection to its service.
    public func awaitProxyHeader() {
        early = []
        // What follows a header in the same read is a piece of plaintext, or goes on as one.
        readSize = BufferPool.plaintextSize - ProxyHeader.maxSize
        opening?.start(after: service.budgets.proxyHeader)
        startReading()
    }

    public override func didReadEarly(_ bytes: consuming Buffer) {
        // At most a header less one byte is kept, and one read is added to it.
        early?.append(copying: bytes.bytes)
        guard let received = early else { return }
        do throws(HTTPRefusal) {
            guard let parsed = try ProxyHeader.parse(received.span) else { return }
            take(parsed.header)
            early = nil
            isAnnounced = true
            stopReading()
            readSize = BufferPool.bufferSize
            opening?.start(after: service.budgets.handshake)
            service.begin(self)
            guard !isClosing, parsed.consumed < received.count else { return }
            guard var rest = lendBuffer() else { return didBreak(.refused(.noBuffer)) }
            _ = rest.append(received.span.extracting(parsed.consumed..<received.count))
            didRead(rest)
        } catch {
            didBreak(.refused(.badProxyHeader(error)))
        }
    }

    private func take(_ header: ProxyHeader) {
        switch header.origin {
        case .local: break
        case .unknown: remote = nil
        case .relayed(let source, let destination):
            remote = Address(octets: source.address, port: source.port)
            told = Address(octets: destination.address, port: destination.port)
        }
    }

    /// What the next hop is told of this caller, as the PROXY protocol has it.
    var announcement: [UInt8] {
        ProxyHeader(from: remote, to: told ?? localAddress).serialise()
    }

    /// Opens the link so that every request is answered with `failure`, and nothing else.
    public func refuse(_ failure: Failure) {
        refusal = failure
        openForRefusal()
    }

    public override func didOpen() {
        if refusal == nil, let failure = listener.refusal { refusal = failure }
        // A refused caller has no more time than one that says nothing.
        if refusal == nil {
            opening?.close()
            opening = nil
        }
        let makeHandler: () -> any RequestHandler = { [unowned self] in
            if let refusal { RefusingHandler(refusal) } else { service.makeHandler(for: self) }
        }
        if speaksHTTP2 {
            let connection = HTTP2Connection(downstream: self, makeHandler: makeHandler)
            multiplexed = connection
            // Windows and resets come here, and what they end gives buffers back.
            readsIn = .first
            connection.begin()
            return connection.watchAdmission()
        }
        let conversation = Conversation(
            caller: .connection(Borrowed(self)), handler: makeHandler())
        self.conversation = conversation
        borrowed = Borrowed(conversation)
        // It hears its refusal once.
        conversation.isDraining = refusal != nil
        conversation.begin()
    }

    public override func didReceive(_ plaintext: consuming Buffer) {
        if let shared { return shared.with(plaintext) { $0.didReceive($1) } }
        guard let borrowed else {
            _ = consume plaintext
            return
        }
        borrowed.with(plaintext) { $0.clientDidReceive($1) }
    }

    public override func didReceiveEnd() {
        if multiplexed != nil { return end(nil) }
        conversation?.clientDidEnd()
    }

    public override func didBecomeWritable() {
        if let shared { return shared.with { $0.flush() } }
        borrowed?.with { $0.clientDidBecomeWritable() }
    }

    /// A caller whose TLS failed is still read from for a moment: closing at once could reset the
    /// alert away that tells it why.
    public override func didBreak(_ error: LinkError) {
        guard case .tls = error, broken == nil, !isClosing, conversation == nil,
            multiplexed == nil
        else {
            return end(broken ?? error)
        }
        discardInput()
        finishWriting()
        endSoon(error)
    }

    /// Ends once the peer has, or in a second: it was told why, and may not have read it yet.
    private func endSoon(_ error: LinkError) {
        broken = error
        let timer =
            opening
            ?? LoopTimer(on: loop) { [unowned self] in
                self.didBreak(.socket(.timedOut))
            }
        opening = timer
        timer.start(after: 1_000)
    }

    /// Ends a connection of HTTP/2 whose GOAWAY says why.
    func endAfterGoAway(_ error: LinkError) {
        guard broken == nil, !isClosing else { return end(broken ?? error) }
        multiplexed?.linkDidClose(error)
        finish()
        discardInput()
        endSoon(error)
    }

    /// Ends the peer's admission: no request begins any more.
    func expire() {
        guard expiresAt != nil else { return }
        expiresAt = now
        multiplexed?.drain()
        conversation?.expire()
    }

    public override func sendControl(_ bytes: [UInt8]) { multiplexed?.sendControl(bytes) }

    public override func endAdmission(_ failure: Failure, afterStreams: Bool) {
        expiresAt = now
        if afterStreams { return expire() }
        multiplexed?.goAwayNow()
        endAfterGoAway(.refused(failure))
    }

    /// Whether requests may have begun.
    var isOpen: Bool { conversation != nil || multiplexed != nil }

    /// Whether it opened only to hear that the listener drains.
    var isTurnedAway: Bool { listener.refusal != nil && refusal != nil }

    func drain() {
        if let multiplexed { return multiplexed.drain() }
        if let conversation { return conversation.drain() }
        // What is still opening can be told, where the listener says something.
        if listener.refusal == nil { end(nil) }
    }

    func abort() {
        end(.socket(.canceled))
    }

    /// Closes; `error` is nil when everything that was begun was finished.
    func end(_ error: LinkError?) {
        guard !isClosing else { return }
        close()
        opening?.close()
        opening = nil
        conversation?.clientDidClose(error)
        multiplexed?.linkDidClose(error)
        service.ended(self, error)
        listener.forget(self)
    }

    public override func didClose() {
        super.didClose()
        borrowed = nil
        conversation = nil
        multiplexed = nil
    }
}

/// Answers every request with one refusal.
final class RefusingHandler: RequestHandler {
    private let failure: Failure

    init(_ failure: Failure) {
        self.failure = failure
    }

    func handle(_ head: RequestHead) -> Disposition { .respond(failure) }
    func finished(_ summary: ExchangeSummary) {}
}
