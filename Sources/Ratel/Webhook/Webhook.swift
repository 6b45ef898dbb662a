internal import Logging
internal import Loop
internal import Streams

/// `ratel webhook`: adds the sidecar to pods that ask for it, as Kubernetes creates them.
public enum Webhook {
    /// Serves until it is told to stop; answers the exit status.
    public static func run(_ source: ConfigurationSource) throws(ConfigurationError) -> Int32 {
        let settings = try WebhookSettings(source)
        let logger = settings.logging.logger("webhook")
        let trust = try WebhookTrust(
            settings.api, configuration: settings.configuration, name: settings.dnsName,
            lifetime: settings.certificateLife, logger: logger)
        let webhook = try WebhookState(
            path: settings.template, trust: trust,
            log: ChannelLog(logger: logger, accessLog: .off))
        return try ServiceRuntime(
            WebhookOperation(settings.gateway, webhook: webhook), settings.gateway,
            logger: logger, admin: settings.admin
        ).run()
    }
}

/// What `ratel webhook` is told.
struct WebhookSettings {
    let gateway: GatewaySettings
    let admin: AdminSettings
    let logging: LoggingSettings
    /// The file of the sidecar's template.
    let template: String
    /// The name that the API server calls, `SERVICE.NAMESPACE.svc`.
    let dnsName: String
    /// The MutatingWebhookConfiguration.
    let configuration: String
    let api: KubernetesAPI
    /// Seconds.
    let certificateLife: Int64

    init(_ source: ConfigurationSource) throws(ConfigurationError) {
        gateway = try WebhookSettings.gateway(source)
        admin = try AdminSettings(source, default: "127.0.0.1:9090")
        logging = try LoggingSettings(source)
        template = try source.required("template")
        dnsName = try WebhookSettings.name(source, "dns-name")
        configuration = try WebhookSettings.name(source, "configuration")
        guard let api = try KubernetesAPI(source) else { throw KubernetesAPI.missing }
        self.api = api
        let life = try SettingValue.duration(
            source["certificate-life"] ?? "24h", setting: "certificate-life")
        // Below, no look at the configuration fits before a renewal; above, a stolen key is
        // of use for longer than anybody needs.
        guard (10_000...30 * 24 * 3_600_000).contains(life) else {
            throw ConfigurationError(
                "--certificate-life: expected 10s to 720h, got \(source["certificate-life"] ?? "")")
        }
        certificateLife = Int64(life / 1_000)
    }

    private static func gateway(
        _ source: ConfigurationSource
    ) throws(ConfigurationError) -> GatewaySettings {
        // One worker answers some thousand questions a second; a cluster asks tens.
        var gateway = try GatewaySettings(source, listen: "0.0.0.0:9443", workers: 1)
        // A cluster has one to five API servers, each with one connection of HTTP/2 or with one of
        // HTTP/1.1 for each pod that is created at this moment. 1,000 take 30 MiB.
        if source["max-connections"] == nil { gateway.maximumConnections = 1_000 }
        // What is read is taken out of its buffer at once; one for each connection is 17 MiB.
        if source["buffers"] == nil { gateway.buffersPerWorker = 1_024 }
        return gateway
    }

    // Both go into places where other characters would mean something else.
    private static func name(
        _ source: ConfigurationSource, _ setting: String
    ) throws(ConfigurationError) -> String {
        let name = try source.required(setting)
        guard KubernetesName.isSubdomain(name) else {
            throw ConfigurationError(
                "--\(setting): expected lower-case letters, digits, `-` and `.`, got \(name)")
        }
        return name
    }
}
