internal import ArgumentParser
internal import Ratel

struct WebhookCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "webhook",
        abstract: "Adds the sidecar to pods that ask for it, as Kubernetes creates them.",
        discussion: """
            A mutating admission webhook for pods with the label `ratel.dev/inject: "true"`; the \
            chart in Helm/ratel installs it. Its certificate is its own: the key never leaves the \
            process, and the configuration that sends the pods here is kept trusting it.
            """)

    @Option(
        help: ArgumentHelp("The sidecar that pods get, a YAML file.", valueName: "file"))
    var template: String?

    @Option(
        name: .customLong("dns-name"),
        help: ArgumentHelp(
            "What the API server calls this: SERVICE.NAMESPACE.svc.", valueName: "name"))
    var dnsName: String?

    @Option(
        help: ArgumentHelp(
            "The MutatingWebhookConfiguration whose caBundle is kept.", valueName: "name"))
    var configuration: String?

    @Option(
        help: ArgumentHelp(
            "Where the API server connects (default: 0.0.0.0:9443).", valueName: "address"))
    var listen: String?

    @Option(
        name: .customLong("certificate-life"),
        help: ArgumentHelp(
            "How long a certificate is valid; a new one comes at two thirds (default: 24h).",
            valueName: "duration"))
    var certificateLife: String?

    @Option(
        help: ArgumentHelp(
            "How long SIGTERM waits for questions under way (default: 30s).",
            valueName: "duration"))
    var grace: String?

    @Option(
        name: .customLong("drain-delay"),
        help: ArgumentHelp(
            "How long SIGTERM leaves the service as it is but for /readyz (default: 0s).",
            valueName: "duration"))
    var drainDelay: String?

    @OptionGroup(title: "Kubernetes")
    var kubernetes: KubernetesOptions

    @OptionGroup(title: "Running")
    var service: ServiceOptions

    func run() throws {
        try finish { () throws(ConfigurationError) in
            let own = [
                "template": template, "dns-name": dnsName, "configuration": configuration,
                "listen": listen, "certificate-life": certificateLife,
                "grace": grace, "drain-delay": drainDelay,
            ]
            return try Webhook.run(ConfigurationSource(own, kubernetes.flags, service.flags))
        }
    }
}
