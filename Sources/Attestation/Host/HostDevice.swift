#if canImport(Glibc)
    internal import Glibc
#endif

/// A character device that is asked by ioctl(2).
enum HostDevice {
    /// Sends `bytes` with `request` to the device at `path`, which writes over them.
    static func exchange(
        _ path: String, request: UInt, _ bytes: inout [UInt8]
    ) throws(HostError) {
        let descriptor = try opened(path)
        defer { close(descriptor) }
        let status = unsafe bytes.withUnsafeMutableBytes { buffer in
            guard let start = buffer.baseAddress else { return CInt(-1) }
            return unsafe ioctl(descriptor, request, start)
        }
        guard status == 0 else { throw HostError.last("ioctl \(path)") }
    }

    /// Sends a message to the device at `path`, with room for an answer of `limit` bytes.
    ///
    /// The argument is two `struct iovec`, of the request and of the answer, as the Nitro Secure
    /// Module takes it (linux/nsm.h, struct nsm_raw); the second one's length is written over.
    static func exchange(
        _ path: String, request: UInt, message: [UInt8], limit: Int
    ) throws(HostError) -> [UInt8] {
        let descriptor = try opened(path)
        defer { close(descriptor) }
        var message = message
        var answer = [UInt8](repeating: 0, count: limit)
        var count = 0
        let status = unsafe message.withUnsafeMutableBytes { sent in
            unsafe answer.withUnsafeMutableBytes { received in
                var vectors: (iovec, iovec) = unsafe (
                    iovec(iov_base: sent.baseAddress, iov_len: sent.count),
                    iovec(iov_base: received.baseAddress, iov_len: received.count)
                )
                let status = unsafe withUnsafeMutableBytes(of: &vectors) { raw in
                    guard let start = raw.baseAddress else { return CInt(-1) }
                    return unsafe ioctl(descriptor, request, start)
                }
                count = unsafe vectors.1.iov_len
                return status
            }
        }
        guard status == 0 else { throw HostError.last("ioctl \(path)") }
        guard count <= limit else { throw HostError(action: "ioctl \(path)", code: EMSGSIZE) }
        return Array(answer[..<count])
    }

    private static func opened(_ path: String) throws(HostError) -> CInt {
        let descriptor = unsafe open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw HostError.last("open \(path)") }
        return descriptor
    }
}
