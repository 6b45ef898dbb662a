public import Bytes
internal import CNGHTTP2

/// The server's side of one HTTP/2 connection (RFC 9113) without its socket: bytes go in, heads and
/// bodies come out by the methods that a subclass overrides, and what is to be sent is asked for.
///
/// Framing, HPACK, the states of streams and flow control are nghttp2's. Heads are delivered as
/// those of HTTP/1.1, so that one parser decides what a request may look like.
@safe
open class HTTP2Session {
    /// Caps on the peer.
    public final let limits: HTTP2Limits
    /// The library's connection.
    private final let session: OpaquePointer
    /// The head that is coming in: header blocks are never interleaved (section 4.3).
    private final var incoming = HTTP2Head()
    private final var counters: HTTP2Counters
    private final var trouble: HTTP2Error?
    private final var sinceFrame = 0
    /// Where `fill` writes to.
    private final var output: Buffer?

    /// Begins a connection and queues its SETTINGS.
    public init(limits: HTTP2Limits = HTTP2Limits()) {
        self.limits = limits
        counters = HTTP2Counters(limits)
        var made: OpaquePointer?
        unsafe HTTP2Callbacks.shared.makeServer(&made)
        guard let made = unsafe made else { fatalError("out of memory") }
        unsafe session = made
        unsafe HTTP2Callbacks.attach(self, to: session)
        let settings = [
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue),
                value: limits.maximumStreams),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue),
                value: UInt32(limits.streamWindow)),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue),
                value: limits.maximumHeaderList),
        ]
        unsafe nghttp2_submit_settings(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), settings, settings.count)
        unsafe nghttp2_session_set_local_window_size(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, limits.connectionWindow)
    }

    deinit { unsafe nghttp2_session_del(session) }

    // MARK: What it tells

    /// A request began; `head` is one of HTTP/1.1, its empty line included.
    ///
    /// A body follows where `hasBody`; where `isChunked` the head names chunks, since the body's
    /// length is not told, and whoever passes it on has to write them.
    open func didReceiveHead(_ head: [UInt8], stream: Int32, hasBody: Bool, isChunked: Bool) {}
    /// Bytes of a body came; `consumed` has to be told once they are used.
    open func didReceiveData(_ bytes: Span<UInt8>, stream: Int32) {}
    /// The request is complete.
    open func didReceiveEnd(stream: Int32) {}
    /// The stream is over; `code` is 0 where both sides ended it in order.
    open func didClose(stream: Int32, code: UInt32) {}

    // MARK: In

    /// Takes what the peer sent; throws when the connection is to be ended, after `fill` has sent
    /// why.
    public final func receive(_ bytes: Span<UInt8>, now: UInt64) throws(HTTP2Error) {
        counters.now = now
        sinceFrame &+= bytes.count
        let used = unsafe bytes.withUnsafeBytes { source in
            unsafe nghttp2_session_mem_recv(
                session, source.assumingMemoryBound(to: UInt8.self).baseAddress, source.count)
        }
        if trouble == nil, sinceFrame > limits.maximumFrameGap {
            trouble = HTTP2Error(
                "over \(limits.maximumFrameGap) bytes without a whole frame",
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

    /// Bytes of a body were used: the peer may send as many more.
    public final func consumed(_ count: Int, stream: Int32) {
        unsafe nghttp2_session_consume(session, stream, count)
    }

    // MARK: Out

    /// Whether there is something to send.
    public final var wantsToSend: Bool { unsafe nghttp2_session_want_write(session) != 0 }

    /// Begins an answer; `body` is asked for its bytes, and outlives the stream.
    public final func respond(stream: Int32, _ head: ResponseHead, _ body: HTTP2Body?) {
        let fields = HTTP2Fields(head)
        unsafe fields.withFields { pairs, count in
            guard let body else {
                unsafe nghttp2_submit_response(session, stream, pairs, count, nil)
                return
            }
            var provider = unsafe HTTP2Callbacks.provider
            unsafe provider.source.ptr = Unmanaged.passUnretained(body).toOpaque()
            unsafe nghttp2_submit_response(session, stream, pairs, count, &provider)
        }
    }

    /// Sends an interim answer (1xx).
    public final func inform(stream: Int32, _ head: ResponseHead) {
        let fields = HTTP2Fields(head)
        unsafe fields.withFields { pairs, count in
            unsafe nghttp2_submit_headers(
                session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, nil, pairs, count, nil)
        }
    }

    /// More of the answer is there than when `available` said there was none.
    @inline(__always)
    public final func hasMore(stream: Int32) {
        unsafe nghttp2_session_resume_data(session, stream)
    }

    /// Ends a stream at once.
    public final func reset(stream: Int32, code: UInt32) {
        unsafe nghttp2_submit_rst_stream(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, code)
    }

    /// Accepts no more streams; those that stand go on.
    public final func goAway() {
        let last = unsafe nghttp2_session_get_last_proc_stream_id(session)
        unsafe nghttp2_submit_goaway(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), last, HTTP2Error.noError, nil, 0)
    }

    /// Ends the connection once its GOAWAY is sent.
    public final func terminate(_ code: UInt32) {
        unsafe nghttp2_session_terminate_session(session, code)
    }

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

    final func beganHead() { incoming = HTTP2Head() }

    /// False when the list is longer than was told: the stream is then reset.
    final func received(name: Span<UInt8>, value: Span<UInt8>) -> Bool {
        incoming.append(name: name, value: value, limit: Int(limits.maximumHeaderList))
    }

    final func receivedFrame(stream: Int32, isRequest: Bool, endsStream: Bool) {
        sinceFrame = 0
        if let refusal = counters.frame(isUseful: isRequest || endsStream) {
            return fail(refusal)
        }
        if isRequest {
            didReceiveHead(
                incoming.http1(hasBody: !endsStream), stream: stream, hasBody: !endsStream,
                isChunked: !endsStream && !incoming.isSized)
            incoming = HTTP2Head()
        }
        if endsStream { didReceiveEnd(stream: stream) }
    }

    final func receivedData(_ bytes: Span<UInt8>, stream: Int32) {
        counters.useful()
        didReceiveData(bytes, stream: stream)
    }

    final func closed(stream: Int32, code: UInt32) {
        didClose(stream: stream, code: code)
        if code != 0, let refusal = counters.reset() { fail(refusal) }
    }

    private func fail(_ error: HTTP2Error) {
        if trouble == nil { trouble = error }
    }
}
