import FoundationEssentials
import Glibc
import Testing

/// A swtpm of its own for one test, with an endorsement certificate by a CA of its own.
///
/// Nothing where swtpm is not installed: the test then says so and passes.
final class SoftwareTPM {
    let folder: String
    private var process: pid_t = 0

    var tcti: String { "swtpm:path=\(folder)/tpm.sock" }
    var authority: String { "\(folder)/ca.pem" }

    static func start() throws -> SoftwareTPM? {
        guard run("command -v swtpm swtpm_setup >/dev/null") == 0 else {
            print("skipped: swtpm is not installed")
            return nil
        }
        return try SoftwareTPM()
    }

    private init() throws {
        // A Unix socket's path has at most 107 bytes: not under the package, which may lie deep.
        folder = "/tmp/ratel-tpm-\(UInt64.random(in: 0 ..< .max))"
        let script = TestData.package + "/Tests/Support/make-swtpm.sh"
        try #require(SoftwareTPM.run("\(script) \(folder) 2>\(folder).log") == 0)
        try restart()
    }

    deinit {
        stop()
        try? FileManager.default.removeItem(atPath: folder)
        try? FileManager.default.removeItem(atPath: folder + ".log")
    }

    func restart() throws {
        stop()
        process = SoftwareTPM.spawn(
            "exec swtpm socket --tpm2 --tpmstate dir=\(folder)/state"
                + " --server type=unixio,path=\(folder)/tpm.sock"
                + " --ctrl type=unixio,path=\(folder)/tpm.sock.ctrl"
                + " --flags not-need-init,startup-clear >/dev/null 2>&1"
        )
        // swtpm makes the two sockets one after the other, and a name is there before its socket
        // listens.
        let sockets = ["\(folder)/tpm.sock", "\(folder)/tpm.sock.ctrl"]
        func areThere() -> Bool {
            sockets.allSatisfy { FileManager.default.fileExists(atPath: $0) }
        }
        for _ in 0..<500 where !areThere() { usleep(10_000) }
        try #require(areThere())
        usleep(50_000)
    }

    func stop() {
        guard process > 0 else { return }
        kill(process, SIGKILL)
        var status: Int32 = 0
        unsafe waitpid(process, &status, 0)
        process = 0
        try? FileManager.default.removeItem(atPath: "\(folder)/tpm.sock")
        try? FileManager.default.removeItem(atPath: "\(folder)/tpm.sock.ctrl")
    }

    /// Runs a command of tpm2-tools against this TPM.
    func tool(_ command: String) -> Int32 {
        SoftwareTPM.run("TPM2TOOLS_TCTI='\(tcti)' \(command) >/dev/null 2>&1")
    }

    static func run(_ command: String) -> Int32 {
        let process = spawn(command)
        var status: Int32 = 0
        unsafe waitpid(process, &status, 0)
        return status
    }

    private static func spawn(_ command: String) -> pid_t {
        var process: pid_t = 0
        let environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
        let words: [String] = ["/bin/sh", "-c", command]
        var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
        var variables = unsafe environment.map { unsafe strdup($0) } + [nil]
        let code = unsafe posix_spawn(&process, "/bin/sh", nil, nil, &arguments, &variables)
        unsafe (arguments + variables).forEach { unsafe free($0) }
        return code == 0 ? process : 0
    }
}
