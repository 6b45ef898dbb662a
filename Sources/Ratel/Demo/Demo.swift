internal import Loop

/// `ratel demo`: everything on one machine, with real processes and real TPMs (swtpm), and three
/// attacks that fail.
public final class Demo {
    /// How long a result stands in the demo's policies, in seconds: about the shortest there is, so
    /// that a change shows while somebody watches.
    private static let maxAge: UInt32 = 12

    private let say: (String) -> Void
    private let backend: String?
    private let directory: String
    private var children: [ChildProcess] = []

    private let servePort: UInt16
    private let connectPort: UInt16
    private let interceptPort: UInt16
    private let backendPort: UInt16

    /// Prepares a demo that talks through `say`; `backend` is used in place of the built-in one.
    public init(
        backend: String?, say: @escaping (String) -> Void
    ) throws(ConfigurationError) {
        self.say = say
        self.backend = backend
        guard let directory = System.makeTemporaryDirectory("ratel-demo") else {
            throw ConfigurationError("cannot make a temporary directory")
        }
        self.directory = directory
        do {
            let ports = try Listener.freePorts(4)
            (servePort, connectPort, interceptPort, backendPort) =
                (ports[0], ports[1], ports[2], ports[3])
        } catch {
            throw ConfigurationError("no free port: \(error)")
        }
    }

    /// Runs it from beginning to end; answers the exit status.
    public func run() throws(ConfigurationError) -> Int32 {
        System.ignoreBrokenPipes()
        defer {
            for child in children.reversed() { child.stop() }
            _ = try? ChildProcess(["rm", "-rf", directory]).finish()
        }
        try startTPMs()
        try startService()
        try showEvidence()
        try streamCompletion()
        try refuseWithoutEvidence()
        try refuseSwappedKey()
        try refuseChangedPCR()
        say("\nDone: one stream served, three peers refused.\n")
        return 0
    }

    // MARK: The good case

    private func startTPMs() throws(ConfigurationError) {
        say("Two machines, each with a TPM 2.0 of its own (swtpm):\n")
        for machine in ["server", "client"] {
            let state = "\(directory)/\(machine)"
            guard System.makeDirectory(state) else {
                throw ConfigurationError("cannot make \(state)")
            }
            try require(
                "swtpm_setup", "--tpm2", "--tpmstate", state, "--createek", "--decryption",
                "--pcr-banks", "sha256", "--overwrite")
            try start(
                machine + "-tpm", "swtpm", "socket", "--tpm2", "--tpmstate", "dir=\(state)",
                "--server", "type=unixio,path=\(state)/tpm.sock",
                "--ctrl", "type=unixio,path=\(state)/tpm.sock.ctrl",
                "--flags", "startup-clear,not-need-init")
            try wait("the TPM of the \(machine)") { System.exists("\(state)/tpm.sock") }
            // What measured boot would do: the code that runs goes into a PCR.
            try extend(machine, pcr: 4, with: "the measured image of the \(machine)")
            say("  \(machine): TPM at \(state)/tpm.sock, its image measured into PCR 4\n")
        }
    }

    private func startService() throws(ConfigurationError) {
        let url: String
        if let backend {
            url = backend
        } else {
            url = "http://127.0.0.1:\(backendPort)"
            try startRatel(
                "backend", "demo-backend", "--listen", "127.0.0.1:\(backendPort)")
        }
        say("\nThe server's policy admits one client, by its attestation key and PCRs (like the\n")
        say("client's policy below, made from the client's own Evidence).\n")
        try ratel("attest", "--tcti", tcti("client"), "--out", "\(directory)/client.json")
        _ = try writePolicy("client", from: "\(directory)/client.json")
        try startRatel(
            "serve", "serve", "--listen", "127.0.0.1:\(servePort)", "--backend", url,
            "--policy", "\(directory)/client.yaml", "--tcti", tcti("server"), "--admin", "off")
        try waitForPort(servePort)
        say("\nThe client admits one server, by what it presents (trust on first use):\n")
        say(try writePolicy("server", from: "127.0.0.1:\(servePort)"))
        try startRatel(
            "connect", "connect", "127.0.0.1:\(servePort)", "--policy",
            "\(directory)/server.yaml", "--tcti", tcti("client"),
            "--listen", "127.0.0.1:\(connectPort)")
        try waitForPort(connectPort)
        say("\n  caller -> connect -> (attested both ways) -> serve -> \(url)\n")
    }

    private func showEvidence() throws(ConfigurationError) {
        say("\n== The server's Evidence, verified over this very connection\n\n")
        let shown = try ratel(
            "verify", "127.0.0.1:\(servePort)", "--policy", "\(directory)/server.yaml",
            "--tcti", tcti("client"))
        say(shown)
    }

    private func streamCompletion() throws(ConfigurationError) {
        say("\n== A chat completion, streamed through both\n\n  ")
        let model = backend == nil ? "ratel-demo-generator" : try firstModel()
        var pieces = 0
        let status = DemoCaller.post(
            "/v1/chat/completions",
            """
            {"model":"\(model)","stream":true,"max_tokens":64,"messages":[{"role":"user",\
            "content":"Who are you, and who can read this?"}]}
            """,
            to: .ip(host: "127.0.0.1", port: connectPort)
        ) { [say] piece in
            pieces += 1
            say(DemoCaller.tokens(in: piece))
        }
        guard status == 200 else {
            throw ConfigurationError("the completion was answered with status \(status)")
        }
        say("\n\n  status \(status), in \(pieces) pieces as they were generated\n")
    }

    // MARK: The attacks

    private func refuseWithoutEvidence() throws(ConfigurationError) {
        let url = "https://127.0.0.1:\(servePort)/v1/models"
        say("\n== Refusal 1: a peer without evidence\n\n$ curl -k \(url)\n")
        say(run("curl", "-sSk", url).output)
        try require(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "\(directory)/thief.key",
            "-out", "\(directory)/thief.pem", "-days", "1", "-subj", "/CN=thief")
        say("\nand with some certificate, but no Evidence:\n")
        let answer = run(
            "curl", "-sSk", "--cert", "\(directory)/thief.pem", "--key",
            "\(directory)/thief.key", "https://127.0.0.1:\(servePort)/v1/models")
        say(answer.output + "\n")
        try expect(answer.output.contains("evidence.missing"), "a refusal without Evidence")
    }

    private func refuseSwappedKey() throws(ConfigurationError) {
        say("\n== Refusal 2: a certificate whose key was swapped\n\n")
        say("An attacker between the two answers with its own key and passes the real server's\n")
        say("Evidence on:\n\n")
        try startRatel(
            "intercept", "demo-intercept", "--listen", "127.0.0.1:\(interceptPort)",
            "--server", "127.0.0.1:\(servePort)")
        try waitForPort(interceptPort)
        let answer = run(
            System.executable, "verify", "127.0.0.1:\(interceptPort)", "--policy",
            "\(directory)/server.yaml", "--tcti", tcti("client"))
        say(answer.output)
        try expect(
            answer.status == 1 && answer.output.contains("binding."), "a refusal by the binding")
    }

    private func refuseChangedPCR() throws(ConfigurationError) {
        say("\n== Refusal 3: a peer with changed PCRs\n\n")
        say("Something else is measured into PCR 4 of the server, as other code would be:\n\n")
        try extend("server", pcr: 4, with: "another image")
        let answer = run(
            System.executable, "verify", "127.0.0.1:\(servePort)", "--policy",
            "\(directory)/server.yaml", "--tcti", tcti("client"))
        say(answer.output)
        try expect(answer.status == 1 && answer.output.contains("pcr"), "a refusal by its PCR")
        say("\nand what the caller's OpenAI client is told, once the helper's result is\n")
        say("older than the policy's max_age (\(Demo.maxAge)s here, usually 300s):\n\n  ")
        System.sleep(milliseconds: (Demo.maxAge + 1) * 1_000)
        var told = ""
        let status = DemoCaller.post(
            "/v1/chat/completions", "{}", to: .ip(host: "127.0.0.1", port: connectPort)
        ) { told += String(decoding: $0, as: UTF8.self) }
        say("\(status) \(told)\n")
        try expect(status == 502, "a 502")
    }

    // MARK: Tools

    private func firstModel() throws(ConfigurationError) -> String {
        let answer = run("curl", "-sS", "http://127.0.0.1:\(connectPort)/v1/models")
        guard let model = DemoCaller.firstModel(in: answer.output) else {
            throw ConfigurationError("the backend lists no model: \(answer.output)")
        }
        return model
    }

    private func writePolicy(
        _ name: String, from source: String
    ) throws(ConfigurationError) -> String {
        let path = "\(directory)/\(name).yaml"
        let made = run(
            "sh", "-c",
            "'\(System.executable)' policy init --name \(name) '\(source)' 2>/dev/null"
                + " | sed 's/max_age: 300s/max_age: \(Demo.maxAge)s/' >'\(path)'")
        guard made.status == 0, let bytes = System.readFile(path, limit: 1 << 20) else {
            throw ConfigurationError("policy init \(source) failed: \(made.output)")
        }
        let text = String(decoding: bytes, as: UTF8.self)
        try expect(text.contains("max_age: \(Demo.maxAge)s"), "a policy of \(source)")
        return text.split(separator: "\n")
            .map { "    \($0)\n" }.joined()
    }

    private func tcti(_ machine: String) -> String { "swtpm:path=\(directory)/\(machine)/tpm.sock" }

    private func extend(
        _ machine: String, pcr: Int, with text: String
    ) throws(ConfigurationError) {
        try require(
            "tpm2_pcrevent", "-T", tcti(machine), "\(pcr)", try writeText(machine, text))
    }

    private func writeText(_ name: String, _ text: String) throws(ConfigurationError) -> String {
        let path = "\(directory)/\(name).txt"
        guard System.writeFile(path, text) else { throw ConfigurationError("cannot write \(path)") }
        return path
    }

    @discardableResult
    private func ratel(_ arguments: String...) throws(ConfigurationError) -> String {
        let result = run([System.executable] + arguments)
        guard result.status == 0 else {
            throw ConfigurationError("ratel \(arguments[0]) failed: \(result.output)")
        }
        return result.output
    }

    private func require(_ arguments: String...) throws(ConfigurationError) {
        let result = run(arguments)
        guard result.status == 0 else {
            throw ConfigurationError("\(arguments[0]) failed: \(result.output)")
        }
    }

    private func run(_ arguments: String...) -> (status: Int32, output: String) { run(arguments) }

    private func run(_ arguments: [String]) -> (status: Int32, output: String) {
        do {
            return try ChildProcess(arguments).finish()
        } catch {
            return (127, "\(arguments[0]): \(error)")
        }
    }

    private func startRatel(
        _ name: String, _ arguments: String...
    ) throws(ConfigurationError) {
        try start(name, [System.executable] + arguments)
    }

    private func start(_ name: String, _ arguments: String...) throws(ConfigurationError) {
        try start(name, arguments)
    }

    private func start(_ name: String, _ arguments: [String]) throws(ConfigurationError) {
        do {
            children.append(
                try ChildProcess(arguments, log: "\(directory)/\(name).log"))
        } catch {
            throw ConfigurationError("\(arguments[0]): \(error)")
        }
    }

    private func waitForPort(_ port: UInt16) throws(ConfigurationError) {
        try wait("port \(port)") {
            Address.ip(host: "127.0.0.1", port: port).accepts
        }
    }

    private func wait(
        _ what: String, until isThere: () -> Bool
    ) throws(ConfigurationError) {
        // 10 s on a busy machine; a start takes well under one.
        for _ in 0..<100 {
            if isThere() { return }
            guard children.last?.isRunning ?? true else { break }
            System.sleep(milliseconds: 100)
        }
        var logs = ""
        for name in ["serve", "connect", "backend", "intercept"] {
            if let text = System.readFile("\(directory)/\(name).log", limit: 1 << 20) {
                logs += "\n\(name): " + String(decoding: text, as: UTF8.self)
            }
        }
        throw ConfigurationError("\(what) did not come up\(logs)")
    }

    private func expect(_ holds: Bool, _ what: String) throws(ConfigurationError) {
        guard holds else { throw ConfigurationError("the demo expected \(what)") }
    }
}
