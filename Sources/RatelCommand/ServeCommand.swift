internal import ArgumentParser
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

    @Option(
        help: ArgumentHelp(
            """
            Be a provider: serve the models of this file at its prices, meter each request by the \
            engine's own counts, and sign the facts of it.
            """, valueName: "file"))
    var offers: String?

    @OptionGroup(title: "Attestation")
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
                "listen": listen, "backend": backend, "policy": policy, "offers": offers,
            ]
            let source = try ConfigurationSource(
                own, attestation.flags, collateral.flags, service.flags, common.flags)
            return try Sidecar.run(ServiceSettings.serve(source))
        }
    }
}
