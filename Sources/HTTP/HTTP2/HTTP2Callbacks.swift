internal import CNGHTTP2
internal import CRecycler

/// The C edge of `HTTP2Session`: what nghttp2 calls, and how it is told of the object.
@safe
final class HTTP2Callbacks: @unchecked Sendable {
    static let shared = HTTP2Callbacks()

    // Neither changes once it is made.
    private let callbacks: OpaquePointer
    private let options: OpaquePointer

    private init() {
        var made: OpaquePointer?
        unsafe nghttp2_session_callbacks_new(&made)
        var option: OpaquePointer?
        unsafe nghttp2_option_new(&option)
        guard let made = unsafe made, let option = unsafe option else {
            fatalError("out of memory")
        }
        unsafe callbacks = made
        unsafe options = option
        // Windows are opened as bodies are used, so that a slow backend is felt by the caller.
        unsafe nghttp2_option_set_no_auto_window_update(options, 1)
        // Its own limit on resets stands behind `HTTP2Limits`, which is the one that is told.
        unsafe nghttp2_option_set_stream_reset_rate_limit(options, 10_000, 1_000)
        unsafe nghttp2_option_set_user_recv_extension_type(options, HTTP2Session.controlType)
        unsafe HTTP2Callbacks.set(callbacks)
        unsafe HTTP2Callbacks.setControl(callbacks)
    }

    @unsafe func make(_ role: HTTP2Session.Role, _ session: inout OpaquePointer?) {
        var memory = unsafe HTTP2Callbacks.memory
        switch role {
        case .server:
            unsafe nghttp2_session_server_new3(&session, callbacks, nil, options, &memory)
        case .client:
            unsafe nghttp2_session_client_new3(&session, callbacks, nil, options, &memory)
        }
    }

    /// A frame that is queued takes a block, and gives it back once it is sent: from the lists that
    /// OpenSSL's records use, so that neither reaches the heap.
    @unsafe private static var memory: nghttp2_mem {
        unsafe nghttp2_mem(
            mem_user_data: nil,
            malloc: { size, _ in unsafe ratel_recycler_allocate(size, nil, 0) },
            free: { block, _ in unsafe ratel_recycler_free(block, nil, 0) },
            calloc: { count, size, _ in
                let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
                guard !overflow, let block = unsafe ratel_recycler_allocate(bytes, nil, 0) else {
                    return nil
                }
                unsafe block.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
                return unsafe block
            },
            realloc: { block, size, _ in unsafe ratel_recycler_reallocate(block, size, nil, 0) })
    }

    /// What a frame is to the session.
    enum FrameKind {
        case data, headers, settings, goAway, continuation, other

        init(_ type: UInt8) {
            self =
                switch UInt32(type) {
                case NGHTTP2_DATA.rawValue: .data
                case NGHTTP2_HEADERS.rawValue: .headers
                case NGHTTP2_SETTINGS.rawValue: .settings
                case NGHTTP2_GOAWAY.rawValue: .goAway
                case NGHTTP2_CONTINUATION.rawValue: .continuation
                default: .other
                }
        }
    }

    /// Asks `HTTP2Body.available` how much of a body there is.
    @unsafe static func provider(_ body: HTTP2Body) -> nghttp2_data_provider {
        var provider = unsafe nghttp2_data_provider()
        unsafe provider.source.ptr = Unmanaged.passUnretained(body).toOpaque()
        unsafe provider.read_callback = { _, stream, _, length, flags, source, context in
            unsafe HTTP2Callbacks.session(context) { session in
                let (count, isLast) = unsafe HTTP2Callbacks.body(source) { $0.available() }
                let room = session.room &- HTTP2Callbacks.frameHead
                // A record that is full goes out first; then this is asked again.
                guard room > 0 else { return Int(NGHTTP2_ERR_PAUSE.rawValue) }
                let taken = min(count, Int(length), room)
                if taken == 0 && !isLast { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
                unsafe flags!.pointee |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
                if isLast && taken == count {
                    unsafe flags!.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
                    let trailers = unsafe HTTP2Callbacks.body(source) { $0.trailers }
                    if !trailers.isEmpty {
                        unsafe flags!.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
                        session.submitTrailers(trailers, stream: stream)
                    }
                }
                return taken
            }
        }
        return unsafe provider
    }

    private static let frameHead = 9

    @unsafe static func attach(_ object: HTTP2Session, to session: OpaquePointer) {
        unsafe nghttp2_session_set_user_data(
            session, Unmanaged.passUnretained(object).toOpaque())
    }

    @unsafe @inline(__always)
    static func session<Result>(
        _ context: UnsafeMutableRawPointer?, _ body: (HTTP2Session) -> Result
    ) -> Result {
        unsafe Unmanaged<HTTP2Session>.fromOpaque(context!)._withUnsafeGuaranteedRef(body)
    }

    @unsafe @inline(__always)
    private static func body<Result>(
        _ source: UnsafeMutablePointer<nghttp2_data_source>?, _ body: (HTTP2Body) -> Result
    ) -> Result {
        unsafe Unmanaged<HTTP2Body>.fromOpaque(source!.pointee.ptr)._withUnsafeGuaranteedRef(body)
    }

    @unsafe private static func span(
        _ pointer: UnsafePointer<UInt8>?, _ count: Int
    ) -> UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(start: pointer, count: count)
    }

    /// Frames of the attestation exchange: their payload is kept nowhere but in the session.
    @unsafe private static func setControl(_ callbacks: OpaquePointer) {
        unsafe nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(callbacks) {
            _, head, data, count, context in
            let stream = unsafe head!.pointee.stream_id
            let bytes = unsafe HTTP2Callbacks.span(data, count)
            unsafe HTTP2Callbacks.session(context) {
                unsafe $0.receivedControl(bytes.span, stream: stream)
            }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_unpack_extension_callback(callbacks) {
            _, payload, _, _ in
            unsafe payload!.pointee = nil
            return 0
        }
        unsafe nghttp2_session_callbacks_set_pack_extension_callback(callbacks) {
            _, target, room, _, context in
            unsafe HTTP2Callbacks.session(context) { session in
                guard let piece = session.unsentControl.first, piece.count <= room else {
                    return Int(NGHTTP2_ERR_CANCEL.rawValue)
                }
                session.unsentControl.removeFirst()
                for (place, byte) in piece.enumerated() { unsafe target![place] = byte }
                return piece.count
            }
        }
    }

    @unsafe private static func set(_ callbacks: OpaquePointer) {
        unsafe nghttp2_session_callbacks_set_send_callback(callbacks) {
            _, data, count, _, context in
            let bytes = unsafe HTTP2Callbacks.span(data, count)
            let isSent = unsafe HTTP2Callbacks.session(context) { unsafe $0.send(bytes.span) }
            return isSent ? count : Int(NGHTTP2_ERR_WOULDBLOCK.rawValue)
        }
        unsafe nghttp2_session_callbacks_set_send_data_callback(callbacks) {
            _, _, head, count, source, context in
            let bytes = unsafe HTTP2Callbacks.span(head, HTTP2Callbacks.frameHead)
            let isSent = unsafe HTTP2Callbacks.session(context) { session in
                unsafe HTTP2Callbacks.body(source) { body in
                    unsafe session.sendData(bytes.span, count, of: body)
                }
            }
            return isSent ? 0 : NGHTTP2_ERR_WOULDBLOCK.rawValue
        }
        unsafe nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks) {
            _, head, context in
            let (type, stream) = unsafe (head!.pointee.type, head!.pointee.stream_id)
            unsafe HTTP2Callbacks.session(context) {
                $0.beganFrame(FrameKind(type), stream: stream)
            }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, _, context in
            unsafe HTTP2Callbacks.session(context) { $0.beganHead() }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, _, name, nameCount, value, valueCount, _, context in
            let (name, value) = unsafe (
                HTTP2Callbacks.span(name, nameCount), HTTP2Callbacks.span(value, valueCount)
            )
            unsafe HTTP2Callbacks.session(context) {
                unsafe $0.received(name: name.span, value: value.span)
            }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) {
            _, frame, context in
            let head = unsafe frame!.pointee.hd
            let kind = FrameKind(head.type)
            let ends =
                (kind == .headers || kind == .data)
                && head.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
            unsafe HTTP2Callbacks.session(context) {
                $0.receivedFrame(kind, stream: head.stream_id, endsStream: ends)
            }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
            library, _, stream, data, count, context in
            let bytes = unsafe HTTP2Callbacks.span(data, count)
            unsafe HTTP2Callbacks.session(context) { session in
                guard let body = unsafe nghttp2_session_get_stream_user_data(library, stream) else {
                    // Of a stream that was refused; nobody uses them.
                    session.consumed(count)
                    return session.consumed(count, stream: stream)
                }
                unsafe Unmanaged<HTTP2Body>.fromOpaque(body)._withUnsafeGuaranteedRef {
                    unsafe session.receivedData(bytes.span, of: $0)
                }
            }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_error_callback2(callbacks) {
            _, _, text, count, context in
            // Its own words, and names of fields; never a value.
            let words = unsafe text.map { unsafe String(cString: $0) } ?? ""
            unsafe HTTP2Callbacks.session(context) { $0.complaint = words }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) {
            _, stream, code, context in
            unsafe HTTP2Callbacks.session(context) { $0.closed(stream: stream, code: code) }
            return 0
        }
    }
}
