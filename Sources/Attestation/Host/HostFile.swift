#if canImport(Glibc)
    internal import Glibc
#endif

/// Files of the operating system: small, and sometimes without a size, as in sysfs.
enum HostFile {
    /// The content of a file of at most `limit` bytes; `nil` if it cannot be read or is longer.
    static func read(_ path: String, limit: Int) -> [UInt8]? {
        try? readAll(path, limit: limit)
    }

    /// The content of a file of at most `limit` bytes.
    ///
    /// Errors: what the system said; EFBIG if it is longer.
    static func readAll(_ path: String, limit: Int) throws(HostError) -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw HostError.last("open \(path)") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
            guard count >= 0 else { throw HostError.last("read \(path)") }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= limit else {
                throw HostError(action: "read \(path)", code: EFBIG)
            }
        }
    }

    /// Writes all of `bytes` in one call, as attributes of configfs and sysfs want it.
    static func writeAll(_ path: String, _ bytes: [UInt8]) throws(HostError) {
        let descriptor = unsafe open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw HostError.last("open \(path)") }
        let count = unsafe write(descriptor, bytes, bytes.count)
        let failure = HostError.last("write \(path)")
        // The kernel takes what was written to a binary attribute when it is closed.
        let closed = close(descriptor)
        guard count >= 0 else { throw failure }
        guard count == bytes.count else { throw HostError(action: "write \(path)", code: EIO) }
        guard closed == 0 else { throw HostError.last("close \(path)") }
    }

    /// Makes a directory for this user alone.
    static func makeDirectory(_ path: String) throws(HostError) {
        guard unsafe mkdir(path, 0o700) == 0 else { throw HostError.last("mkdir \(path)") }
    }

    /// Removes a directory; nothing is to be done if that fails.
    static func removeDirectory(_ path: String) { _ = unsafe rmdir(path) }

    /// Why a path cannot be opened for reading and writing; `nil` if it can.
    static func problem(_ path: String) -> String? {
        guard unsafe access(path, F_OK) == 0 else { return "not there" }
        guard unsafe access(path, R_OK | W_OK) == 0 else { return "no permission" }
        return nil
    }

    /// Whether there is something at a path.
    static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    /// Lets this thread rest.
    static func rest(milliseconds: UInt32) { usleep(milliseconds * 1_000) }
}
