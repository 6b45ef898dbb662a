internal import ArgumentParser
internal import Ratel

struct ConnectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect",
        abstract: "The caller's helper: any OpenAI client in front, one attested server behind.",
        discussion: """
            Point an OpenAI SDK at http://127.0.0.1:8080/v1. Each connection to the server is \
            verified before the first byte of a request leaves this machine; a server that does \
            not meet the policy gives the caller a 502 that says what was expected and what came.

            Where the policy says `tier: static`, a server of another system is known by the \
            Evidence in its certificate.
            """)

    @Argument(
        help: ArgumentHelp(
            "The server: a `ratel serve`, or one with Evidence in its certificate.",
            valueName: "host:port"))
    var server: String?

    @Option(help: ArgumentHelp("What the server must show.", valueName: "file"))
    var policy: String?

    @Option(
        help: ArgumentHelp(
            "Where callers on this machine connect (default: 127.0.0.1:8080).",
            valueName: "address"))
    var listen: String?

    @Option(
        name: .customLong("server-roots"),
        help: ArgumentHelp(
            """
            PEM of authorities: the server's certificate must also be for its name, by one of \
            these (default: Evidence alone counts).
            """, valueName: "file"))
    var serverRoots: String?

    @OptionGroup(title: "Attestation (where the server asks for it)")
    var attestation: AttesterOptions

    @OptionGroup(title: "Collateral")
    var collateral: CollateralOptions

    @OptionGroup(title: "Running")
    var service: ServiceOptions

    @OptionGroup(title: "Running")
    var common: CommonOptions

    func run() throws {
        try finish { () throws(ConfigurationError) in
            let own = [
                "listen": listen, "server": server, "policy": policy,
                "server-roots": serverRoots,
            ]
            let source = try ConfigurationSource(
                own, attestation.flags, collateral.flags, service.flags, common.flags)
            return try ClientHelper.run(ServiceSettings.connect(source))
        }
    }
}
