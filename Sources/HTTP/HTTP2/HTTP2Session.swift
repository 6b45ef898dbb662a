public import Bytes
internal import CNGHTTP2

/// One side of one HTTP/2 connection (RFC 9113) without its socket: bytes go in, heads and bodies
/// come out by the methods that a subclass overrides, and what is to be sent is asked for.
///
/// Framing, HPACK, the states of streams and flow control are nghttp2's. Heads are delivered as
/// those of HTTP/1.1, so that one parser decides what a message may look like.
@safe
open class HTTP2Session {
    /// Which side of the connection this is.
    public enum Role: Sendable {
        case server, client
    }

    /// Which side of the connection this is.
    public final let role: Role
    /// Caps on the peer.
    public final let limits: HTTP2Limits
    /// The library's connection.
    final let session: OpaquePointer
    /// The head that is coming in: header blocks are never interleaved (section 4.3).
    private final var incoming = HTTP2Head()
    private final var counters: HTTP2Counters
    private final var identifiers = HTTP2Identifiers()
    private final var trouble: HTTP2Error?
    /// Whether a header block has begun and is not whole, and the bytes that came since.
    private final var isInBlock = false
    private final var blockBytes = 0
    /// What the library found wrong last, nil where it found nothing.
    public internal(set) final var complaint: String?
    /// Whether the peer has said what it takes.
    public private(set) final var hasSettings = false
    /// Where `fill` writes to.
    private final var output: Buffer?
    /// Pieces of this side's exchange, each a frame of its own.
    final var unsentControl: [ArraySlice<UInt8>] = []

    /// Begins a connection and queues its SETTINGS.
    public init(_ role: Role, limits: HTTP2Limits = HTTP2Limits()) {
        self.role = role
        self.limits = limits
        counters = HTTP2Counters(limits)
        var made: OpaquePointer?
        unsafe HTTP2Callbacks.shared.make(role, &made)
        guard let made = unsafe made else { fatalError("out of memory") }
        unsafe session = made
        unsafe HTTP2Callbacks.attach(self, to: session)
        submitSettings()
    }

    private func submitSettings() {
        var settings = [
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue),
                value: UInt32(limits.streamWindow)),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue),
                value: limits.maximumHeaderList),
        ]
        switch role {
        case .server:
            settings.append(
                nghttp2_settings_entry(
                    settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue),
                    value: limits.maximumStreams))
        case .client:
            settings.append(
                nghttp2_settings_entry(
                    settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0))
        }
        unsafe nghttp2_submit_settings(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), settings, settings.count)
        unsafe nghttp2_session_set_local_window_size(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, limits.connectionWindow)
    }

    deinit { unsafe nghttp2_session_del(session) }

    // MARK: What it tells

    /// A request began, or an answer came; a body follows where `hasBody`.
    open func didReceiveHead(_ head: HTTP2Head, stream: Int32, hasBody: Bool) {}
    /// The peer's body is complete, with the field lines behind it, each with its line end.
    open func didReceiveEnd(stream: Int32, trailers: [UInt8]) {}
    /// The stream is over; `code` is 0 where both sides ended it in order.
    open func didClose(stream: Int32, code: UInt32) {}
    /// Bytes came in frames of the attestation exchange (protocol.md, "Long connections").
    open func didReceiveControl(_ bytes: Span<UInt8>) {}
    /// The peer said how much it takes.
    open func didReceiveSettings() {}
    /// The peer takes no more streams; those it will not answer are closed as refused.
    open func didReceiveGoAway() {}

    // MARK: In

    /// Takes what the peer sent; throws when the connection is to be ended, after `fill` has sent
    /// why.
    public final func receive(_ bytes: Span<UInt8>, now: UInt64) throws(HTTP2Error) {
        counters.now = now
        if isInBlock { blockBytes &+= bytes.count }
        let used = unsafe bytes.withUnsafeBytes { source in
            unsafe nghttp2_session_mem_recv(
                session, source.assumingMemoryBound(to: UInt8.self).baseAddress, source.count)
        }
        if trouble == nil, blockBytes > limits.maximumBlock {
            trouble = HTTP2Error(
                "a header block of over \(limits.maximumBlock) bytes",
                code: HTTP2Error.enhanceYourCalm)
        }
        if let trouble {
            terminate(trouble.code)
            throw trouble
        }
        guard used == bytes.count else {
            throw HTTP2Error(
                unsafe String(cString: nghttp2_strerror(Int32(truncatingIfNeeded: used))),
                code: HTTP2Error.protocolError)
        }
    }

    /// Bytes of a body were used: the peer may send as many more on the stream.
    @inline(__always)
    public final func consumed(_ count: Int, stream: Int32) {
        unsafe nghttp2_session_consume_stream(session, stream, count)
    }

    /// Bytes of a body have a place: the peer may send as many more on the connection.
    @inline(__always)
    public final func consumed(_ count: Int) {
        unsafe nghttp2_session_consume_connection(session, count)
    }

    // MARK: Out

    /// Writes frames into `buffer` as far as they fit one TLS record; answers it, empty when there
    /// were none.
    public final func fill(_ buffer: consuming Buffer) throws(HTTP2Error) -> Buffer {
        output = consume buffer
        let status = unsafe nghttp2_session_send(session)
        guard let filled = output.take() else { fatalError("the output is always given back") }
        guard status == 0 else {
            throw HTTP2Error(
                unsafe String(cString: nghttp2_strerror(status)), code: HTTP2Error.internalError)
        }
        return filled
    }

    // MARK: The library's questions

    final var room: Int { BufferPool.plaintextSize &- (output?.count ?? 0) }

    final func send(_ bytes: Span<UInt8>) -> Bool {
        guard bytes.count <= room else { return false }
        _ = output!.append(bytes)
        return true
    }

    @inline(__always)
    final func sendData(_ head: Span<UInt8>, _ count: Int, of body: HTTP2Body) -> Bool {
        guard head.count &+ count <= room else { return false }
        _ = output!.append(head)
        if count > 0 {
            body.take(count, into: &output!)
            // A caller may grant windows for each piece that it gets.
            counters.useful()
        }
        return true
    }

    /// A frame's head came; only CONTINUATION goes on with a block.
    @inline(__always)
    final func beganFrame(_ kind: HTTP2Callbacks.FrameKind, stream: Int32) {
        if kind != .continuation {
            isInBlock = kind == .headers
            blockBytes = 0
        }
        guard kind == .headers, role == .server, identifiers.isSkipped(stream) else { return }
        // The library passes over it in silence, as if it came late.
        fail(
            HTTP2Error(
                "stream \(stream) begins after a later one", code: HTTP2Error.protocolError))
    }

    final func beganHead() { incoming = HTTP2Head() }

    final func received(name: Span<UInt8>, value: Span<UInt8>) {
        incoming.append(name: name, value: value, limit: Int(limits.maximumHeaderList))
    }

    final func receivedControl(_ bytes: Span<UInt8>, stream: Int32) {
        guard stream == 0 else {
            return fail(
                HTTP2Error(
                    "a frame of the exchange on stream \(stream)",
                    code: HTTP2Error.protocolError))
        }
        if trouble == nil { didReceiveControl(bytes) }
    }

    final func receivedFrame(_ kind: HTTP2Callbacks.FrameKind, stream: Int32, endsStream: Bool) {
        if kind == .headers { isInBlock = false }
        let isHead = kind == .headers && !incoming.isTrailers
        if let refusal = counters.frame(isUseful: isHead || endsStream) { return fail(refusal) }
        switch kind {
        case .headers where isHead:
            didReceiveHead(incoming, stream: stream, hasBody: !endsStream)
        case .settings:
            hasSettings = true
            didReceiveSettings()
        case .goAway: didReceiveGoAway()
        case .headers, .data, .continuation, .other: break
        }
        if kind == .headers, !isHead, incoming.isTooLarge {
            // A part of them must not pass for the whole.
            incoming = HTTP2Head()
            return reset(stream: stream, code: HTTP2Error.enhanceYourCalm)
        }
        if endsStream {
            didReceiveEnd(
                stream: stream, trailers: kind == .headers && !isHead ? incoming.trailers : [])
        }
        if kind == .headers { incoming = HTTP2Head() }
    }

    @inline(__always)
    final func receivedData(_ bytes: Span<UInt8>, of body: HTTP2Body) {
        counters.useful()
        body.didReceive(bytes)
    }

    final func closed(stream: Int32, code: UInt32) {
        let refusal = code == 0 ? nil : counters.reset()
        didClose(stream: stream, code: code)
        // A client ends streams whose callers left, and a server that it chose may refuse some.
        guard role == .server, let refusal else { return }
        fail(refusal)
    }

    /// Whether all streams could end by a reset and a peer with the same limits would not call it
    /// a flood; a client begins no more where it is not so.
    public final var sparesEveryStream: Bool { counters.sparesEveryStream }

    /// Streams that the peer takes at once; until it has said so as many as anybody takes (section
    /// 6.5.2 recommends no fewer than 100).
    public final var peerStreams: Int {
        guard hasSettings else { return 100 }
        return Int(
            unsafe nghttp2_session_get_remote_settings(
                session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
    }

    private func fail(_ error: HTTP2Error) {
        if trouble == nil { trouble = error }
    }
}
