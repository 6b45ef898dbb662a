#if canImport(Glibc)
    internal import Glibc
#endif

/// Files of the operating system: small, and sometimes without a size, as in sysfs.
enum HostFile {
    /// The content of a file of at most `limit` bytes; `nil` if it cannot be read or is longer.
    static func read(_ path: String, limit: Int) -> [UInt8]? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
            guard count >= 0 else { return nil }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= limit else { return nil }
        }
    }

    /// Why a path cannot be opened for reading and writing; `nil` if it can.
    static func problem(_ path: String) -> String? {
        guard unsafe access(path, F_OK) == 0 else { return "not there" }
        guard unsafe access(path, R_OK | W_OK) == 0 else { return "no permission" }
        return nil
    }

    /// Whether there is something at a path.
    static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
}
