internal import ArgumentParser
internal import Ratel

struct RouteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "route",
        abstract: "The confidential router: callers in front, attested providers behind.",
        discussion: """
            Speaks OpenAI's API. Each request goes to a provider whose Evidence holds, chosen by \
            price, speed and the caller's demands, and each answer leaves a signed receipt: \
            `ratel audit` recomputes every bill from the exports in the state folder.

            The file of --providers names the providers with their policies, and the callers by \
            the SHA-256 of their keys.
            """)

    @Option(
        help: ArgumentHelp("Where callers connect (default: 0.0.0.0:8443).", valueName: "address"))
    var listen: String?

    @Option(help: ArgumentHelp("Who may call.", valueName: "file"))
    var policy: String?

    @Option(help: ArgumentHelp("Who provides, and whose keys are known.", valueName: "file"))
    var providers: String?

    @Option(
        help: ArgumentHelp("Where key, ledger and exports are kept.", valueName: "folder"))
    var state: String?

    @Option(
        help: ArgumentHelp(
            "postgresql://… of a ledger that several routers share (default: SQLite in --state).",
            valueName: "url"))
    var ledger: String?

    @Option(
        name: .customLong("export-period"),
        help: ArgumentHelp(
            "How much time one export covers; its draws are secret until then (default: 1h).",
            valueName: "duration"))
    var exportPeriod: String?

    @Option(
        help: ArgumentHelp(
            "How often each provider is asked for fresh Evidence (default: 1m).",
            valueName: "duration"))
    var challenge: String?

    @OptionGroup(title: "Kubernetes (for providers by their endpoint_slices)")
    var kubernetes: KubernetesOptions

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
                "listen": listen, "policy": policy, "providers": providers, "state": state,
                "ledger": ledger, "export-period": exportPeriod, "challenge": challenge,
            ]
            return try Router.run(
                RouterSettings(
                    ConfigurationSource(
                        own, kubernetes.flags, attestation.flags, collateral.flags, service.flags,
                        common.flags)))
        }
    }
}
