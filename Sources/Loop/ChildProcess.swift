internal import Glibc

/// A program started by this process, with what it printed.
@safe
public final class ChildProcess {
    /// Its number, for messages.
    public let id: Int32
    private let output: Int32
    private var status: Int32?

    /// Starts `arguments[0]`, looked up in PATH; output and errors go to `log`, or are kept for
    /// `finish` when there is none.
    public init(_ arguments: [String], log: String? = nil) throws(SocketError) {
        var ends: [Int32] = [-1, -1]
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        let appending = O_WRONLY | O_CREAT | O_APPEND
        if let log {
            unsafe posix_spawn_file_actions_addopen(&actions, 1, log, appending, 0o644)
        } else {
            guard unsafe pipe(&ends) == 0 else { throw SocketError(code: -errno) }
            // Other children must not keep these open.
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        }
        unsafe posix_spawn_file_actions_adddup2(&actions, 1, 2)
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        // A child must not inherit what this process ignores or blocks.
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var defaults = sigset_t()
        unsafe sigemptyset(&defaults)
        unsafe sigaddset(&defaults, SIGPIPE)
        unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))

        var pointers: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) }
        unsafe pointers.append(nil)
        defer { unsafe pointers.forEach { unsafe free($0) } }
        var child: pid_t = 0
        let result = unsafe posix_spawnp(
            &child, arguments[0], &actions, &attributes, pointers, environ)
        if ends[1] >= 0 { _ = Glibc.close(ends[1]) }
        output = ends[0]
        id = child
        guard result == 0 else {
            if ends[0] >= 0 { _ = Glibc.close(ends[0]) }
            status = -1
            throw SocketError(code: -result)
        }
    }

    /// Waits for the end; answers the exit status (128 and the signal's number for a signal) and
    /// what was printed.
    public func finish() -> (status: Int32, output: String) {
        var printed: [UInt8] = []
        if output >= 0 {
            var piece = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = unsafe read(output, &piece, piece.count)
                guard count > 0 else { break }
                printed.append(contentsOf: piece[..<count])
            }
            _ = Glibc.close(output)
        }
        return (wait(), String(decoding: printed, as: UTF8.self))
    }

    /// Asks it to end, and waits.
    public func stop() {
        guard status == nil else { return }
        kill(id, SIGTERM)
        _ = wait()
    }

    /// Whether it has not ended.
    public var isRunning: Bool {
        guard status == nil else { return false }
        var raw: Int32 = 0
        guard unsafe waitpid(id, &raw, WNOHANG) == id else { return true }
        status = ChildProcess.decode(raw)
        return false
    }

    private func wait() -> Int32 {
        if let status { return status }
        var raw: Int32 = 0
        while unsafe waitpid(id, &raw, 0) < 0, errno == EINTR {}
        let decoded = ChildProcess.decode(raw)
        status = decoded
        return decoded
    }

    private static func decode(_ raw: Int32) -> Int32 {
        let signal = raw & 0x7F
        return signal == 0 ? (raw >> 8) & 0xFF : 128 + signal
    }
}
