internal import CUV
internal import Glibc

/// The few calls of the system that Ratel needs beside sockets.
public enum System {
    /// Writes one line to standard error in one call, so that lines of threads do not mix.
    public static func writeError(_ line: String) {
        var text = line
        text.append("\n")
        text.withUTF8 { bytes in
            _ = unsafe write(2, bytes.baseAddress, bytes.count)
        }
    }

    /// A variable of the environment.
    public static func environment(_ name: String) -> String? {
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }

    /// Seconds since 1970, UTC.
    public static var now: Int64 { Int64(time(nil)) }

    /// Milliseconds since 1970.
    public static var nowMilliseconds: Int64 {
        var value = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &value)
        return Int64(value.tv_sec) * 1_000 + Int64(value.tv_nsec) / 1_000_000
    }

    /// Nanoseconds of a clock that also counts while the machine is suspended.
    public static var uptime: UInt64 {
        var now = timespec()
        unsafe clock_gettime(CLOCK_BOOTTIME, &now)
        return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    }

    /// Milliseconds of the same clock.
    public static var uptimeMilliseconds: UInt64 { uptime / 1_000_000 }

    /// The time as RFC 3339 writes it, to the millisecond.
    public static var timestamp: String {
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        var parts = unsafe tm()
        unsafe gmtime_r(&now.tv_sec, &parts)
        var text = [CChar](repeating: 0, count: 32)
        let length = unsafe strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S", &parts)
        let seconds = String(decoding: text[..<length].map(UInt8.init), as: UTF8.self)
        let milliseconds = String(now.tv_nsec / 1_000_000)
        return seconds + "." + String(repeating: "0", count: 3 - milliseconds.count)
            + milliseconds + "Z"
    }

    /// The whole of a small file; nil when it cannot be read or is larger than `limit` bytes.
    public static func readFile(_ path: String, limit: Int) -> [UInt8]? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { _ = Glibc.close(descriptor) }
        var contents: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = unsafe read(descriptor, &piece, piece.count)
            if count < 0 { return nil }
            if count == 0 { return contents }
            contents.append(contentsOf: piece[..<count])
            if contents.count > limit { return nil }
        }
    }

    /// Replaces a file's contents; false when that cannot be done.
    public static func writeFile(_ path: String, _ text: String) -> Bool {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return false }
        defer { _ = Glibc.close(descriptor) }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBufferPointer { bytes in
                unsafe write(descriptor, bytes.baseAddress, bytes.count)
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Replaces a file at once: a reader, or a start after a crash, sees the old bytes or the new.
    ///
    /// False when that cannot be done; the old file is then left as it was.
    public static func replaceFile(_ path: String, _ bytes: [UInt8]) -> Bool {
        let temporary = path + ".\(getpid()).new"
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
        let descriptor = unsafe open(temporary, flags, 0o600)
        guard descriptor >= 0 else { return false }
        var isGood = true
        var rest = bytes[...]
        while isGood, !rest.isEmpty {
            let count = unsafe rest.withUnsafeBufferPointer { bytes in
                unsafe write(descriptor, bytes.baseAddress, bytes.count)
            }
            isGood = count > 0
            if isGood { rest = rest.dropFirst(count) }
        }
        isGood = fsync(descriptor) == 0 && isGood
        _ = Glibc.close(descriptor)
        if isGood { isGood = unsafe rename(temporary, path) == 0 }
        if !isGood { unsafe unlink(temporary) }
        return isGood
    }

    /// Whether a path exists.
    public static func exists(_ path: String) -> Bool {
        unsafe access(path, F_OK) == 0
    }

    /// Removes a socket that an earlier process left at `path`; anything else stays.
    public static func removeStaleSocket(_ path: String) {
        var info = stat()
        guard unsafe lstat(path, &info) == 0, info.st_mode & S_IFMT == S_IFSOCK else { return }
        _ = unsafe unlink(path)
    }

    /// Lets writes to closed sockets fail instead of ending the process.
    public static func ignoreBrokenPipes() {
        _ = signal(SIGPIPE, SIG_IGN)
    }

    /// Lets a crash leave nothing of the memory behind, which holds keys and prompts: no core, and
    /// not what Swift's backtraces print, the bytes that registers point to. Nobody of the same
    /// user may look into it either.
    public static func leaveNothingBehind() {
        for signal in [SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV] {
            _ = Glibc.signal(signal, SIG_DFL)
        }
        var none = rlimit()
        _ = unsafe setrlimit(__rlimit_resource_t(4), &none)
        // The limit does not hold where cores go to a program (core(5)).
        _ = ratel_forbid_dumps()
    }

    /// Raises the limit on open descriptors to the most that is allowed, and answers it.
    @discardableResult
    public static func raiseDescriptorLimit() -> Int {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(7), &limit) == 0 else { return 0 }
        limit.rlim_cur = limit.rlim_max
        _ = unsafe setrlimit(__rlimit_resource_t(7), &limit)
        return Int(truncatingIfNeeded: limit.rlim_cur)
    }

    /// Gives free pages of the heap back to the system; holds up threads that allocate meanwhile.
    public static func trimHeap() {
        _ = malloc_trim(0)
    }

    /// This process's number.
    public static var processID: Int32 { getpid() }

    /// SIGTERM and SIGINT, by their numbers on Linux.
    public static let terminate: Int32 = 15
    public static let interrupt: Int32 = 2
    public static let hangUp: Int32 = 1

    /// Ends the process at once.
    public static func exit(_ status: Int32) -> Never { Glibc.exit(status) }
}

extension System {
    /// Makes a directory of its own for this process; nil when that cannot be done.
    public static func makeTemporaryDirectory(_ name: String) -> String? {
        let base = environment("TMPDIR") ?? "/tmp"
        var template = Array("\(base)/\(name)-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { return nil }
        let end = template.firstIndex(of: 0) ?? template.count
        return String(decoding: template[..<end].map(UInt8.init), as: UTF8.self)
    }

    /// Makes a directory; false when that cannot be done.
    public static func makeDirectory(_ path: String) -> Bool {
        unsafe mkdir(path, 0o700) == 0
    }

    /// Makes a directory with those above it, for this user alone; false when it is not there then.
    public static func makeDirectories(_ path: String) -> Bool {
        for (index, byte) in path.utf8.enumerated() where byte == UInt8(ascii: "/") && index > 0 {
            let above = String(path.utf8.prefix(index)) ?? path
            if !exists(above) { _ = makeDirectory(above) }
        }
        if !exists(path) { _ = makeDirectory(path) }
        return exists(path)
    }

    /// The path of this program's file.
    public static var executable: String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0 else { return "ratel" }
        return String(decoding: buffer[..<count].map(UInt8.init), as: UTF8.self)
    }

    /// Blocks this thread.
    public static func sleep(milliseconds: UInt32) {
        usleep(milliseconds * 1_000)
    }

    /// Writes to standard output at once, without a line's end, so that a person sees it now.
    public static func writeOutput(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            _ = unsafe write(1, bytes.baseAddress, bytes.count)
        }
    }
}

extension System {
    /// Columns and lines of the terminal that standard output is; nil where it is none.
    public static var terminal: (columns: Int, lines: Int)? {
        var size = winsize()
        guard unsafe ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0
        else { return nil }
        return (Int(size.ws_col), Int(size.ws_row))
    }
}
