internal import ArgumentParser

/// Options of everything that runs until it is told to stop.
struct ServiceOptions: ParsableArguments {
    @Option(help: ArgumentHelp("YAML file with any of these options.", valueName: "file"))
    var config: String?

    @Option(
        help: ArgumentHelp(
            "Address of /healthz, /readyz and /metrics; `off` for none.",
            valueName: "host:port"))
    var admin: String?

    @Option(name: .customLong("log-format"), help: "text or json (default: text).")
    var logFormat: String?

    @Option(
        name: .customLong("log-level"),
        help: "debug, info, notice, warning or error (default: info).")
    var logLevel: String?

    /// The flags by the names that they also have in the environment and in files.
    var flags: [String: String?] {
        ["config": config, "admin": admin, "log-format": logFormat, "log-level": logLevel]
    }
}
