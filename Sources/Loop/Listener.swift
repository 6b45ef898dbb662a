internal import CUV
internal import Glibc

/// A listening socket on one loop; each worker binds its own to the same address (`SO_REUSEPORT`).
@safe
open class Listener {
    /// The loop on which connections are accepted.
    public let loop: EventLoop
    /// The address bound, with the port the system chose where 0 was asked.
    public private(set) var address: Address

    let stream: UnsafeMutablePointer<uv_stream_t>
    private var isClosed = false

    /// Connections that the kernel may hold before they are accepted: what Debian's kernel allows
    /// by default (net.core.somaxconn).
    private static let backlog: Int32 = 4096

    /// Binds and listens; throws when the address is taken, malformed or not allowed.
    public init(on loop: EventLoop, address: Address) throws(SocketError) {
        self.loop = loop
        self.address = address
        switch address {
        case .ip:
            let tcp = UnsafeMutablePointer<uv_tcp_t>.allocate(capacity: 1)
            unsafe uv_tcp_init(loop.handle, tcp)
            unsafe stream = UnsafeMutableRawPointer(tcp).assumingMemoryBound(to: uv_stream_t.self)
        case .unix:
            let pipe = UnsafeMutablePointer<uv_pipe_t>.allocate(capacity: 1)
            unsafe uv_pipe_init(loop.handle, pipe, 0)
            unsafe stream = UnsafeMutableRawPointer(pipe).assumingMemoryBound(to: uv_stream_t.self)
        }
        unsafe stream.pointee.data = Unmanaged.passRetained(self).toOpaque()
        do {
            try bind()
            try check(
                unsafe uv_listen(stream, Listener.backlog) { stream, status in
                    unsafe Unmanaged<Listener>.fromOpaque(stream!.pointee.data)
                        ._withUnsafeGuaranteedRef { if status == 0 { $0.didBecomeReady() } }
                })
            readBoundAddress()
        } catch {
            close()
            throw error
        }
    }

    deinit {
        precondition(isClosed, "a listener was dropped without close()")
    }

    /// Fails when another process listens at `address` already, which `SO_REUSEPORT` would hide.
    public static func probe(_ address: Address) throws(SocketError) {
        let outcome: Int32? = unsafe address.withSocketAddress { raw, length in
            let family = unsafe Int32(raw.pointee.sa_family)
            let descriptor = socket(family, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { return -errno }
            defer { _ = CUV.close(descriptor) }
            var yes: Int32 = 1
            let size = socklen_t(MemoryLayout<Int32>.size)
            _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, size)
            return unsafe CUV.bind(descriptor, raw, length) == 0 ? 0 : -errno
        }
        if case .unix = address { return }
        guard let outcome else { throw .invalid }
        try check(outcome)
    }

    /// Ports of loopback that nothing uses at this moment.
    public static func freePorts(_ count: Int) throws(SocketError) -> [UInt16] {
        var descriptors: [Int32] = []
        defer { for descriptor in descriptors { _ = CUV.close(descriptor) } }
        var ports: [UInt16] = []
        for _ in 0..<count {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { throw SocketError(code: -errno) }
            descriptors.append(descriptor)
            var four = sockaddr_in()
            _ = unsafe uv_ip4_addr("127.0.0.1", 0, &four)
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let status = unsafe withUnsafeMutablePointer(to: &four) { four in
                let raw = unsafe UnsafeMutableRawPointer(four)
                    .assumingMemoryBound(to: sockaddr.self)
                guard unsafe CUV.bind(descriptor, raw, length) == 0 else { return -errno }
                return unsafe getsockname(descriptor, raw, &length) == 0 ? Int32(0) : -errno
            }
            try check(status)
            ports.append(UInt16(bigEndian: four.sin_port))
        }
        return ports
    }

    /// A connection waits; make a `Socket(accepting: self)`.
    open func didBecomeReady() {}

    /// Stops listening; connections already accepted live on.
    public func close() {
        guard !isClosed else { return }
        isClosed = true
        unsafe uv_close(
            UnsafeMutableRawPointer(stream).assumingMemoryBound(to: uv_handle_t.self)
        ) { handle in
            let data = unsafe handle!.pointee.data
            unsafe handle!.deallocate()
            unsafe Unmanaged<Listener>.fromOpaque(data!).release()
        }
    }

    private func bind() throws(SocketError) {
        switch address {
        case .unix(let path):
            let pipe = unsafe UnsafeMutableRawPointer(stream)
                .assumingMemoryBound(to: uv_pipe_t.self)
            try check(unsafe uv_pipe_bind(pipe, path))
        case .ip:
            let bound: Int32? = unsafe address.withSocketAddress { address, length in
                unsafe bindReusingPort(address, length)
            }
            guard let bound else { throw .invalid }
            try check(bound)
        }
    }

    /// libuv sets no SO_REUSEPORT before 1.49, so the descriptor is made here and handed over.
    private func bindReusingPort(
        _ address: UnsafePointer<sockaddr>, _ length: socklen_t
    ) -> Int32 {
        let family = unsafe Int32(address.pointee.sa_family)
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, kind, 0)
        guard descriptor >= 0 else { return -errno }
        var yes: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        let tcp = unsafe UnsafeMutableRawPointer(stream).assumingMemoryBound(to: uv_tcp_t.self)
        guard unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, size) == 0,
            unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &yes, size) == 0,
            unsafe CUV.bind(descriptor, address, length) == 0
        else {
            let failure = -errno
            _ = CUV.close(descriptor)
            return failure
        }
        let opened = unsafe uv_tcp_open(tcp, descriptor)
        if opened < 0 { _ = CUV.close(descriptor) }
        return opened
    }

    private func readBoundAddress() {
        guard case .ip = address else { return }
        var storage = sockaddr_storage()
        var length = Int32(MemoryLayout<sockaddr_storage>.size)
        unsafe withUnsafeMutablePointer(to: &storage) { storage in
            let address = unsafe UnsafeMutableRawPointer(storage)
                .assumingMemoryBound(to: sockaddr.self)
            let tcp = unsafe UnsafeMutableRawPointer(stream)
                .assumingMemoryBound(to: uv_tcp_t.self)
            guard unsafe uv_tcp_getsockname(tcp, address, &length) == 0 else { return }
            if let bound = unsafe Address(address) { self.address = bound }
        }
    }
}
