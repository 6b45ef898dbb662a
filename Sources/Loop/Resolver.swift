internal import CUV

/// Turns a host name into addresses on libuv's thread pool.
@safe
public final class Resolver {
    private let completion: (Result<[Address], SocketError>) -> Void
    private let port: UInt16

    private init(port: UInt16, completion: @escaping (Result<[Address], SocketError>) -> Void) {
        self.port = port
        self.completion = completion
    }

    /// Calls `completion` on the loop with every address of `host`, in the system's order.
    ///
    /// A numeric host is answered at once, without a lookup.
    public static func resolve(
        host: String, port: UInt16, on loop: EventLoop,
        then completion: @escaping (Result<[Address], SocketError>) -> Void
    ) {
        let literal = Address.ip(host: host, port: port)
        if literal.isNumeric {
            completion(.success([literal]))
            return
        }
        let resolver = Resolver(port: port, completion: completion)
        let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)
        unsafe request.pointee.data = Unmanaged.passRetained(resolver).toOpaque()
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        let status = unsafe uv_getaddrinfo(
            loop.handle, request,
            { request, status, found in
                let resolver = unsafe Unmanaged<Resolver>.fromOpaque(request!.pointee.data)
                    .takeRetainedValue()
                unsafe request!.deallocate()
                unsafe resolver.finish(status: status, found: found)
                unsafe uv_freeaddrinfo(found)
            }, host, nil, &hints)
        if status < 0 {
            unsafe Unmanaged<Resolver>.fromOpaque(request.pointee.data).release()
            unsafe request.deallocate()
            completion(.failure(SocketError(code: status)))
        }
    }

    private func finish(status: Int32, found: UnsafeMutablePointer<addrinfo>?) {
        guard status == 0 else {
            completion(.failure(SocketError(code: status)))
            return
        }
        var addresses: [Address] = []
        var next = unsafe found
        while let entry = unsafe next {
            if let raw = unsafe entry.pointee.ai_addr, case .ip(let host, _)? = unsafe Address(raw)
            {
                addresses.append(.ip(host: host, port: port))
            }
            unsafe next = entry.pointee.ai_next
        }
        completion(addresses.isEmpty ? .failure(.nameNotFound) : .success(addresses))
    }
}
