public import Loop

/// What a long-running command is told: the same for the sidecar and the client helper.
public struct ServiceSettings: Sendable {
    /// Listener, workers, budgets.
    public var gateway: GatewaySettings
    /// Where requests go: the backend of a sidecar, the server of a client helper.
    public var upstream: Address
    /// What the peer of the attested channel must show.
    public var policy: PolicySource
    /// What attests for this side.
    public var attester: AttesterSettings
    /// A certificate of a public CA or SPIFFE, in place of the self-signed one.
    public var identity: ProvidedIdentity?
    /// PEM of those who may vouch for the server's name, beside its Evidence; nil where that alone
    /// counts.
    public var serverRoots: String?
    /// The file of a provider's offers; nil where requests are not metered.
    public var offers: String?
    /// Health, readiness, metrics.
    public var admin: AdminSettings
    /// Where collateral comes from.
    public var collateral: CollateralSettings
    /// Logs.
    public var logging: LoggingSettings

    /// The settings of `ratel serve`.
    public static func serve(
        _ source: ConfigurationSource
    ) throws(ConfigurationError) -> ServiceSettings {
        try ServiceSettings(
            source, listen: "0.0.0.0:8443",
            upstream: SettingValue.backend(source.required("backend"), setting: "backend"),
            attester: .auto, admin: "127.0.0.1:9090")
    }

    /// The settings of `ratel connect`: one worker, so that one connection carries every caller.
    public static func connect(
        _ source: ConfigurationSource
    ) throws(ConfigurationError) -> ServiceSettings {
        let settings = try ServiceSettings(
            source, listen: "127.0.0.1:8080",
            upstream: SettingValue.address(source.required("server"), setting: "server"),
            attester: .none, admin: "off", workers: 1)
        guard settings.gateway.padding != .tick else {
            throw ConfigurationError(
                "--padding: expected off or records, got tick: answers are streamed under TLS by "
                    + "the server, and `ratel serve --padding tick` is what sends them at ticks")
        }
        return settings
    }

    private init(
        _ source: ConfigurationSource, listen: String, upstream: Address,
        attester: AttesterSettings.Choice, admin: String, workers: Int = Worker.processors
    ) throws(ConfigurationError) {
        gateway = try GatewaySettings(source, listen: listen, workers: workers)
        self.upstream = upstream
        policy = PolicySource(path: try source.required("policy"))
        self.attester = try AttesterSettings(source, default: attester)
        identity = try ProvidedIdentity.read(source)
        serverRoots = source["server-roots"]
        offers = source["offers"]
        self.admin = try AdminSettings(source, default: admin)
        collateral = try CollateralSettings(source)
        logging = try LoggingSettings(source)
    }
}
