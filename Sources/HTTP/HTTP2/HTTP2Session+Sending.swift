internal import CNGHTTP2

/// What a session is told to send; `fill` then asks for the frames.
extension HTTP2Session {
    /// Whether there is something to send.
    @inline(__always)
    public final var wantsToSend: Bool { unsafe nghttp2_session_want_write(session) != 0 }

    /// Whether nothing more comes or goes: the peer broke the rules and was told so, or both sides
    /// are done.
    @inline(__always)
    public final var isOver: Bool {
        unsafe nghttp2_session_want_read(session) == 0 && !wantsToSend
    }

    /// What the peer did, as far as the library says.
    public final var violation: HTTP2Error {
        HTTP2Error(complaint ?? "a rule of framing", code: HTTP2Error.protocolError)
    }

    /// Whether another request may begin: no GOAWAY came, and stream identifiers are left.
    public final var allowsRequests: Bool {
        unsafe nghttp2_session_check_request_allowed(session) != 0
    }

    /// Begins a request; `body` outlives the stream. Answers the stream's identifier, nil where
    /// the session takes no more.
    public final func request(_ head: RequestHead, hasBody: Bool, _ body: HTTP2Body) -> Int32? {
        let stream = unsafe HTTP2Fields(head).withFields { pairs, count in
            let context = unsafe Unmanaged.passUnretained(body).toOpaque()
            guard hasBody else {
                return unsafe nghttp2_submit_request(session, nil, pairs, count, nil, context)
            }
            var provider = unsafe HTTP2Callbacks.provider(body)
            return unsafe nghttp2_submit_request(session, nil, pairs, count, &provider, context)
        }
        return stream > 0 ? stream : nil
    }

    /// Has the body of a stream that the peer began handed to `body`, which outlives the stream.
    public final func attach(_ body: HTTP2Body, stream: Int32) {
        unsafe nghttp2_session_set_stream_user_data(
            session, stream, Unmanaged.passUnretained(body).toOpaque())
    }

    /// Begins an answer; `body` is asked for its bytes, and outlives the stream.
    public final func respond(stream: Int32, _ head: ResponseHead, _ body: HTTP2Body?) {
        unsafe HTTP2Fields(head).withFields { pairs, count in
            guard let body else {
                unsafe nghttp2_submit_response(session, stream, pairs, count, nil)
                return
            }
            var provider = unsafe HTTP2Callbacks.provider(body)
            unsafe nghttp2_submit_response(session, stream, pairs, count, &provider)
        }
    }

    /// Sends an interim answer (1xx).
    public final func inform(stream: Int32, _ head: ResponseHead) {
        unsafe HTTP2Fields(head).withFields { pairs, count in
            _ = unsafe nghttp2_submit_headers(
                session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, nil, pairs, count, nil)
        }
    }

    /// Sends field lines behind the body's last byte, and with them the stream's end.
    final func submitTrailers(_ lines: [UInt8], stream: Int32) {
        unsafe HTTP2Fields(trailers: lines).withFields { pairs, count in
            _ = unsafe nghttp2_submit_trailer(session, stream, pairs, count)
        }
    }

    /// More of the body is there than when `available` said there was none.
    @inline(__always)
    public final func hasMore(stream: Int32) {
        unsafe nghttp2_session_resume_data(session, stream)
    }

    /// Ends a stream at once.
    public final func reset(stream: Int32, code: UInt32) {
        unsafe nghttp2_submit_rst_stream(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, code)
    }

    /// Asks the peer for a sign of life; any frame is one.
    public final func ping() {
        unsafe nghttp2_submit_ping(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), nil)
    }

    /// Sends bytes of the attestation exchange, between the frames of streams.
    public final func submitControl(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            unsentControl.append(rest.prefix(HTTP2Session.controlPiece))
            rest = rest.dropFirst(HTTP2Session.controlPiece)
            unsafe nghttp2_submit_extension(
                session, HTTP2Session.controlType, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, nil)
        }
    }

    /// The frame type that carries the exchange (protocol.md, "Long connections").
    static let controlType: UInt8 = 0xF1
    /// Bytes of a frame: below the smallest SETTINGS_MAX_FRAME_SIZE that a peer may have (16,384),
    /// and half of a TLS record, so that it finds room beside other frames.
    static let controlPiece = 8_192

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
}
