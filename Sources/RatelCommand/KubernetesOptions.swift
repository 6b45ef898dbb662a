internal import ArgumentParser

/// Options of a side that asks Kubernetes' API server.
struct KubernetesOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The API server (default: the cluster's).", valueName: "url"))
    var api: String?

    @Option(
        name: .customLong("api-ca"),
        help: ArgumentHelp(
            "PEM of its authority (default: the service account's).", valueName: "file"))
    var apiCA: String?

    @Option(
        name: .customLong("api-token"),
        help: ArgumentHelp(
            "The token that it is asked with (default: the service account's).",
            valueName: "file"))
    var apiToken: String?

    /// The flags by the names that they also have in the environment and in files.
    var flags: [String: String?] { ["api": api, "api-ca": apiCA, "api-token": apiToken] }
}
