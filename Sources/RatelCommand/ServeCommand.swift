internal import ArgumentParser
internal import Loop
internal import Ratel

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "The sidecar: attested callers in front, the inference backend behind.",
        discussion: """
            Evidence of this machine is shown on every connection; what callers must show is the \
            policy's matter. `peers: anonymous` must be written there for callers without \
            Evidence to be let in.

            The backend is reached in plaintext: keep it on loopback or behind a Unix socket.
            """)

    @Option(
        help: ArgumentHelp("Where callers connect (default: 0.0.0.0:8443).", valueName: "address"))
    var listen: String?

    @Option(
        help: ArgumentHelp(
            "http://HOST:PORT or unix:/path of the inference server.", valueName: "url"))
    var backend: String?

    @Option(help: ArgumentHelp("Who may call.", valueName: "file"))
    var policy: String?

    @OptionGroup(title: "Attestation")
    var attestation: AttesterOptions

    @OptionGroup(title: "Running")
    var common: CommonOptions

    func run() throws {
        try finish { () throws(ConfigurationError) in
            let source = try common.source(
                AttesterOptions.names + ["listen", "backend", "policy"])
            let listen = try SettingValue.address(
                source.value("listen", flag: listen) ?? "0.0.0.0:8443", setting: "listen")
            return try Sidecar.run(
                Sidecar.Settings(
                    gateway: try common.gateway(source, listen: listen),
                    backend: try SettingValue.backend(
                        try source.required("backend", flag: backend), setting: "backend"),
                    policy: PolicySource(path: try source.required("policy", flag: policy)),
                    attester: try attestation.settings(source, default: .auto),
                    identity: try attestation.identity(source),
                    admin: try common.admin(
                        source, default: .ip(host: "127.0.0.1", port: 9090)),
                    logging: try common.logging(source)))
        }
    }
}

/// Ends the process with the status that `work` answers; a mistake in the settings is told in one
/// line, with the exit status of sysexits(3) for it.
func finish(_ work: () throws(ConfigurationError) -> Int32) throws {
    do {
        let status = try work()
        throw ExitCode(status)
    } catch let error as ConfigurationError {
        System.writeError("ratel: \(error)")
        throw ExitCode(78)
    }
}
