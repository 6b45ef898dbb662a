#if canImport(Glibc)
    internal import Glibc
#endif

/// A stream socket to a service on this machine or on its host, used by one thread that may block.
struct HostSocket: ~Copyable {
    /// Where the service listens.
    enum Place: Sendable, Equatable, CustomStringConvertible {
        /// vsock(7): the host has the context 2.
        case host(context: UInt32, port: UInt32)
        case unix(path: String)
        /// IPv4, in the order that it is written in.
        case internet(address: [UInt8], port: UInt16)

        /// An IPv4 address and a port, `192.0.2.1:80`.
        init?(address text: String) {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, let port = UInt16(parts[1]) else { return nil }
            let bytes = parts[0].split(separator: ".", omittingEmptySubsequences: false)
                .map { UInt8($0) }
            guard bytes.count == 4, bytes.allSatisfy({ $0 != nil }) else { return nil }
            self = .internet(address: bytes.compactMap(\.self), port: port)
        }

        var description: String {
            switch self {
            case .host(let context, let port): "vsock:\(context):\(port)"
            case .unix(let path): "unix:\(path)"
            case .internet(let address, let port):
                address.map { "\($0)" }.joined(separator: ".") + ":\(port)"
            }
        }
    }

    private let descriptor: CInt
    private let place: Place

    private init(_ descriptor: CInt, _ place: Place) {
        self.descriptor = descriptor
        self.place = place
    }

    /// Connects; each later call gives up after `seconds` without a byte.
    static func connect(_ place: Place, seconds: Int) throws(HostError) -> HostSocket {
        let family: CInt =
            switch place {
            case .host: 40  // AF_VSOCK, linux/socket.h
            case .unix: AF_UNIX
            case .internet: AF_INET
            }
        let address = try address(place, family: family)
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, type, 0)
        guard descriptor >= 0 else { throw HostError.last("socket \(place)") }
        let made = HostSocket(descriptor, place)
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        let status = unsafe address.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return CInt(-1) }
            return unsafe Glibc.connect(
                descriptor, start.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
        guard status == 0 else { throw HostError.last("connect \(place)") }
        return made
    }

    deinit { close(descriptor) }

    /// Sends all of `bytes`.
    func send(_ bytes: [UInt8]) throws(HostError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { bytes in
                unsafe Glibc.send(
                    descriptor, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
            }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw HostError.last("send \(place)")
            }
            rest = rest.dropFirst(count)
        }
    }

    /// The next `count` bytes.
    func receive(_ count: Int) throws(HostError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: count)
        while bytes.count < count {
            let got = unsafe recv(descriptor, &chunk, count - bytes.count, 0)
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw HostError.last("receive \(place)") }
            guard got > 0 else { throw HostError(action: "receive \(place)", code: ECONNRESET) }
            bytes += chunk[..<got]
        }
        return bytes
    }

    /// Everything until the other side closes, of at most `limit` bytes.
    func receiveAll(limit: Int) throws(HostError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let got = unsafe recv(descriptor, &chunk, chunk.count, 0)
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw HostError.last("receive \(place)") }
            guard got > 0 else { return bytes }
            bytes += chunk[..<got]
            guard bytes.count <= limit else {
                throw HostError(action: "receive \(place)", code: EMSGSIZE)
            }
        }
    }

    /// The address as the kernel takes it: sockaddr_in, sockaddr_un, or sockaddr_vm of
    /// linux/vm_sockets.h.
    private static func address(_ place: Place, family: CInt) throws(HostError) -> [UInt8] {
        var bytes = [UInt8(family), 0]
        switch place {
        case .unix(let path):
            // sun_path of unix(7): 108 bytes with the terminator.
            guard path.utf8.count < 108 else {
                throw HostError(action: "connect \(place)", code: ENAMETOOLONG)
            }
            bytes += Array(path.utf8) + [UInt8](repeating: 0, count: 108 - path.utf8.count)
        case .host(let context, let port):
            bytes += [0, 0]
            for number in [port, context] {
                for shift in stride(from: 0, to: 32, by: 8) {
                    bytes.append(UInt8(truncatingIfNeeded: number >> UInt32(shift)))
                }
            }
            bytes += [0, 0, 0, 0]
        case .internet(let address, let port):
            // sockaddr_in: port and address in network order, then eight zeros.
            bytes += [UInt8(port >> 8), UInt8(port & 0xFF)] + address
            bytes += [UInt8](repeating: 0, count: 8)
        }
        return bytes
    }
}
