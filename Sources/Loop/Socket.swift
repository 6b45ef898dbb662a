public import Bytes
internal import CUV
internal import Glibc

/// What became of bytes handed to `Socket.write`.
public enum WriteOutcome: Sendable {
    /// The kernel has them all.
    case sent
    /// Some wait for the peer; `didDrain` follows, and nothing may be written before it.
    case pending
    /// The connection is gone; `didFail` is not called for it.
    case failed(SocketError)
}

/// One stream connection on one loop: override what it tells, call what it should do.
///
/// One buffer is lent for the length of a read and at most one is held by a write that the kernel
/// did not take at once: an idle connection holds none.
@safe
open class Socket {
    /// Where this connection lives.
    @inlinable
    public final var loop: EventLoop { unsafe owner._withUnsafeGuaranteedRef { $0 } }

    /// Milliseconds of the loop's clock.
    @inline(__always)
    public final var now: UInt64 { unsafe owner._withUnsafeGuaranteedRef { $0.now } }

    /// Counts this socket's stream among the loop's active ones when it moves.
    @inline(__always)
    public final func streamMoved(last: UInt64, now: UInt64) {
        unsafe owner._withUnsafeGuaranteedRef { $0.streamMoved(last: last, now: now) }
    }

    /// Has the loop tell `follower` once all that it woke up for is done.
    @inline(__always)
    public final func afterEvents(tell follower: LoopFollower) {
        unsafe owner._withUnsafeGuaranteedRef { $0.afterEvents(tell: follower) }
    }

    /// Counts a TLS record that carries so many bytes.
    @inline(__always)
    public final func countRecord(_ bytes: Int) {
        unsafe owner._withUnsafeGuaranteedRef { loop in
            loop.traffic.records.add(1)
            loop.traffic.recordBytes.add(bytes)
        }
    }

    /// Lends a buffer of the loop's slab; nil when none is free.
    @inline(__always)
    public final func lendBuffer() -> Buffer? {
        var lent: Buffer?
        unsafe pool._withUnsafeGuaranteedRef { lent = $0.lend() }
        return lent
    }

    @usableFromInline final let owner: Unmanaged<EventLoop>
    private final let pool: Unmanaged<BufferPool>
    private final let stream: UnsafeMutablePointer<uv_stream_t>
    private final let request: UnsafeMutablePointer<uv_write_t>
    private final let isTCP: Bool
    private final var incoming: Buffer?
    private final var outgoing: Buffer?
    private final var isReading = false
    private final var isStarving = false

    /// Whether `close()` was called; nothing but `didClose` follows it.
    public final var isClosing: Bool { @inline(never) get { hasClosed } }
    /// Whether a write waits for the kernel.
    public final var isWriting: Bool { @inline(never) get { hasPending } }
    // Private and read by a call, so that the compiler proves by itself that nothing reads them
    // while they change: a check of that at run time costs ten times as much.
    private final var hasClosed = false
    private final var hasPending = false
    /// Bytes asked for in one read; plaintext sockets ask for one TLS record's worth, so that one
    /// read makes one record.
    public final var readSize = BufferPool.bufferSize

    /// Which sockets still read when buffers run short.
    public enum Turn: Sendable {
        /// While any is left: what comes ends work and gives buffers back, and keeps none.
        case first
        /// Until the reserve is all that is left.
        case usual
        /// While half of the slab is free: what comes only begins work.
        case last
    }

    /// When this one stops reading as buffers run short.
    public final var readsIn = Turn.usual

    /// Makes a socket for a connection to `address`'s kind; `connect` follows.
    public init(on loop: EventLoop, kind address: Address) {
        unsafe owner = .passUnretained(loop)
        unsafe pool = .passUnretained(loop.buffers)
        if case .unix = address {
            let pipe = UnsafeMutablePointer<uv_pipe_t>.allocate(capacity: 1)
            unsafe uv_pipe_init(loop.handle, pipe, 0)
            unsafe stream = UnsafeMutableRawPointer(pipe).assumingMemoryBound(to: uv_stream_t.self)
            isTCP = false
        } else {
            let tcp = UnsafeMutablePointer<uv_tcp_t>.allocate(capacity: 1)
            unsafe uv_tcp_init(loop.handle, tcp)
            unsafe stream = UnsafeMutableRawPointer(tcp).assumingMemoryBound(to: uv_stream_t.self)
            isTCP = true
        }
        unsafe request = .allocate(capacity: 1)
        unsafe stream.pointee.data = Unmanaged.passRetained(self).toOpaque()
    }

    /// Takes the connection that waits at `listener`; close the socket when this throws.
    public final func accept(from listener: Listener) throws(SocketError) {
        try check(unsafe uv_accept(listener.stream, stream))
        setNoDelay()
    }

    deinit {
        precondition(isClosing, "a socket was dropped without close()")
        unsafe request.deallocate()
    }

    // MARK: What it tells

    /// The connection asked for by `connect` is made, or failed.
    open func didConnect(_ failure: SocketError?) {}
    /// Bytes came; the buffer is the receiver's from now on.
    open func didRead(_ buffer: consuming Buffer) {}
    /// The peer will send no more.
    open func didEnd() {}
    /// Reading or a pending write failed; close it.
    open func didFail(_ error: SocketError) {}
    /// A pending write is done; more may be written.
    open func didDrain() {}
    /// `finishWriting` is done.
    open func didFinishWriting() {}
    /// The descriptor is closed; the last call.
    open func didClose() {}

    // MARK: What it does

    /// Connects; `didConnect` follows unless this throws.
    public final func connect(to address: Address) throws(SocketError) {
        let request = UnsafeMutablePointer<uv_connect_t>.allocate(capacity: 1)
        unsafe request.pointee.data = Unmanaged.passUnretained(self).toOpaque()
        let status: Int32
        switch address {
        case .unix(let path):
            // libuv cuts longer paths silently; sun_path holds 108 bytes with its end.
            guard path.utf8.count < 108 else {
                unsafe request.deallocate()
                throw .invalid
            }
            let pipe = unsafe UnsafeMutableRawPointer(stream)
                .assumingMemoryBound(to: uv_pipe_t.self)
            unsafe uv_pipe_connect(request, pipe, path, Socket.connected)
            status = 0
        case .ip:
            let tcp = unsafe UnsafeMutableRawPointer(stream)
                .assumingMemoryBound(to: uv_tcp_t.self)
            status =
                unsafe address.withSocketAddress { raw, _ in
                    unsafe uv_tcp_connect(request, tcp, raw, Socket.connected)
                } ?? UV_EINVAL.rawValue
        }
        if status < 0 {
            unsafe request.deallocate()
            throw SocketError(code: status)
        }
    }

    /// Reads from now on.
    public final func startReading() {
        guard !isReading, !isClosing, !isStarving else { return }
        isReading = true
        unsafe uv_read_start(stream, Socket.lend, Socket.read)
    }

    /// Reads no more until `startReading`; the kernel's window closes on the peer.
    public final func stopReading() {
        guard isReading else { return }
        isReading = false
        unsafe uv_read_stop(stream)
    }

    /// Writes a buffer; call it only when `isWriting` is false.
    public final func write(_ buffer: consuming Buffer) -> WriteOutcome {
        precondition(!isWriting, "one write at a time")
        if isClosing { return .failed(.canceled) }
        if buffer.isEmpty { return .sent }
        unsafe owner._withUnsafeGuaranteedRef { $0.traffic.writes.add(1) }
        var piece = unsafe uv_buf_t(
            base: buffer.readPointer.assumingMemoryBound(to: CChar.self), len: buffer.count)
        let taken = unsafe uv_try_write(stream, &piece, 1)
        if taken == Int32(truncatingIfNeeded: buffer.count) { return .sent }
        if taken > 0 {
            buffer.consume(Int(taken))
        } else if taken < 0 && taken != UV_EAGAIN.rawValue {
            return .failed(SocketError(code: taken))
        }
        unsafe piece = uv_buf_t(
            base: buffer.readPointer.assumingMemoryBound(to: CChar.self), len: buffer.count)
        outgoing = consume buffer
        hasPending = true
        let status = unsafe uv_write(request, stream, &piece, 1, Socket.written)
        if status < 0 {
            hasPending = false
            outgoing = nil
            return .failed(SocketError(code: status))
        }
        return .pending
    }

    /// Sends end-of-file after what was written; `didFinishWriting` follows.
    public final func finishWriting() {
        guard !isClosing else { return }
        let request = UnsafeMutablePointer<uv_shutdown_t>.allocate(capacity: 1)
        let status = unsafe uv_shutdown(request, stream) { request, _ in
            let data = unsafe request!.pointee.handle.pointee.data
            unsafe request!.deallocate()
            unsafe Unmanaged<Socket>.fromOpaque(data!)._withUnsafeGuaranteedRef {
                if !$0.isClosing { $0.didFinishWriting() }
            }
        }
        if status < 0 { unsafe request.deallocate() }
    }

    /// Closes at once; what the kernel did not take yet is lost. `didClose` follows.
    public final func close() {
        guard !isClosing else { return }
        hasClosed = true
        isReading = false
        unsafe uv_close(
            UnsafeMutableRawPointer(stream).assumingMemoryBound(to: uv_handle_t.self)
        ) { handle in
            let data = unsafe handle!.pointee.data
            unsafe handle!.deallocate()
            let socket = unsafe Unmanaged<Socket>.fromOpaque(data!).takeRetainedValue()
            socket.incoming = nil
            socket.outgoing = nil
            socket.didClose()
        }
    }

    /// The other end's address; nil when it is gone or a Unix socket.
    public final var peerAddress: Address? { unsafe address(uv_tcp_getpeername) }

    /// This end's address; nil when it is gone or a Unix socket.
    public final var localAddress: Address? { unsafe address(uv_tcp_getsockname) }

    private final func address(
        _ ask: (
            UnsafePointer<uv_tcp_t>?, UnsafeMutablePointer<sockaddr>?,
            UnsafeMutablePointer<Int32>?
        ) -> Int32
    ) -> Address? {
        guard isTCP, !isClosing else { return nil }
        var storage = sockaddr_storage()
        var length = Int32(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutablePointer(to: &storage) { storage -> Address? in
            let address = unsafe UnsafeMutableRawPointer(storage)
                .assumingMemoryBound(to: sockaddr.self)
            let tcp = unsafe UnsafeMutableRawPointer(stream)
                .assumingMemoryBound(to: uv_tcp_t.self)
            guard unsafe ask(tcp, address, &length) == 0 else { return nil }
            return unsafe Address(address)
        }
    }

    /// Buffers are free again after this socket had to wait for one; call super.
    open func didRegainBuffers() {
        guard isStarving else { return }
        isStarving = false
        startReading()
    }

    /// Has `didRegainBuffers` called when a fair part of the slab is free again.
    public final func awaitBuffers() {
        unsafe owner._withUnsafeGuaranteedRef { $0.rememberStarved(self) }
    }

    private final func setNoDelay() {
        guard isTCP else { return }
        unsafe uv_tcp_nodelay(
            UnsafeMutableRawPointer(stream).assumingMemoryBound(to: uv_tcp_t.self), 1)
    }

    /// Whether what comes is acknowledged together with what is sent next, or after a while, and
    /// not each read by itself (TCP_QUICKACK of tcp(7), off).
    ///
    /// On one machine an acknowledgement costs the reader a tenth of a token; a sender without
    /// TCP_NODELAY waits for it.
    public final func acknowledge(late: Bool) {
        guard isTCP, !isClosing else { return }
        var descriptor: Int32 = -1
        unsafe uv_fileno(
            UnsafeMutableRawPointer(stream).assumingMemoryBound(to: uv_handle_t.self), &descriptor)
        var quick: Int32 = late ? 0 : 1
        // Where the kernel does not know it, things stay as they are.
        unsafe setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_QUICKACK, &quick,
            socklen_t(MemoryLayout<Int32>.size))
    }

    // MARK: libuv's callbacks

    private static let connected: uv_connect_cb = { request, status in
        let data = unsafe request!.pointee.data
        unsafe request!.deallocate()
        unsafe Unmanaged<Socket>.fromOpaque(data!)._withUnsafeGuaranteedRef { socket in
            guard !socket.isClosing else { return }
            if status == 0 { socket.setNoDelay() }
            socket.didConnect(status == 0 ? nil : SocketError(code: status))
        }
    }

    private static let lend: uv_alloc_cb = { handle, _, piece in
        let data = unsafe handle!.pointee.data
        unsafe Unmanaged<Socket>.fromOpaque(data!)._withUnsafeGuaranteedRef { socket in
            unsafe socket.pool._withUnsafeGuaranteedRef {
                switch socket.readsIn {
                case .usual: socket.incoming = $0.lendForReading()
                case .last: socket.incoming = $0.lendForBeginning()
                case .first: socket.incoming = $0.lend()
                }
            }
            if let free = unsafe socket.incoming?.writePointer {
                unsafe piece!.pointee.base = free.assumingMemoryBound(to: CChar.self)
                unsafe piece!.pointee.len = socket.readSize
            } else {
                unsafe piece!.pointee.base = nil
                unsafe piece!.pointee.len = 0
            }
        }
    }

    private static let read: uv_read_cb = { stream, count, _ in
        let data = unsafe stream!.pointee.data
        unsafe Unmanaged<Socket>.fromOpaque(data!)._withUnsafeGuaranteedRef { socket in
            socket.finishRead(count)
        }
    }

    @inline(__always)
    private final func finishRead(_ count: Int) {
        guard var buffer = incoming.take() else {
            if count == Int(UV_ENOBUFS.rawValue) { starve() } else { failRead(count) }
            return
        }
        if count > 0 {
            unsafe owner._withUnsafeGuaranteedRef { $0.traffic.reads.add(1) }
            buffer.produced(count)
            didRead(buffer)
        } else if count < 0 {
            failRead(count)
        }
    }

    private final func failRead(_ count: Int) {
        guard count < 0, !isClosing else { return }
        stopReading()
        if count == Int(UV_EOF.rawValue) {
            didEnd()
        } else {
            didFail(SocketError(code: Int32(truncatingIfNeeded: count)))
        }
    }

    private final func starve() {
        stopReading()
        isStarving = true
        awaitBuffers()
    }

    private static let written: uv_write_cb = { request, status in
        let data = unsafe request!.pointee.handle.pointee.data
        unsafe Unmanaged<Socket>.fromOpaque(data!)._withUnsafeGuaranteedRef { socket in
            socket.hasPending = false
            socket.outgoing = nil
            guard !socket.isClosing else { return }
            if status == 0 {
                socket.didDrain()
            } else {
                socket.didFail(SocketError(code: status))
            }
        }
    }
}
