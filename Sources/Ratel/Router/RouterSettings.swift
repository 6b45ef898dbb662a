internal import Loop
internal import Streams

/// What `ratel route` is told.
public struct RouterSettings: Sendable {
    /// Listener, workers, budgets.
    var gateway: GatewaySettings
    /// What callers must show.
    var policy: PolicySource
    var attester: AttesterSettings
    var identity: ProvidedIdentity?
    var admin: AdminSettings
    var collateral: CollateralSettings
    var logging: LoggingSettings
    /// The file of providers and callers.
    var file: String
    /// The folder of key, ledger and exports.
    var state: String
    /// The URL of a ledger in PostgreSQL; nil for one in the folder.
    var ledger: String?
    /// Who knows the endpoints of services; nil outside of a cluster.
    var kubernetes: KubernetesAPI?
    /// Milliseconds of an export.
    var period: Int64
    /// Milliseconds between two challenges of a provider.
    var challenge: UInt64

    /// Reads them.
    public init(_ source: ConfigurationSource) throws(ConfigurationError) {
        gateway = try GatewaySettings(
            source, listen: "0.0.0.0:8443", workers: Worker.processors)
        policy = PolicySource(path: try source.required("policy"))
        attester = try AttesterSettings(source, default: .auto)
        identity = try ProvidedIdentity.read(source)
        admin = try AdminSettings(source, default: "127.0.0.1:9090")
        collateral = try CollateralSettings(source)
        logging = try LoggingSettings(source)
        file = try source.required("providers")
        state = try source.required("state")
        ledger = source["ledger"]
        if let ledger, !ledger.hasPrefix("postgresql://"), !ledger.hasPrefix("postgres://") {
            throw ConfigurationError("--ledger: expected postgresql://…")
        }
        kubernetes = try KubernetesAPI(source)
        let export = try source["export-period"].map { text throws(ConfigurationError) in
            try SettingValue.duration(text, setting: "export-period")
        }
        period = Int64(export ?? 3_600_000)
        // A day: its seed is secret until then.
        guard (1_000...86_400_000).contains(period), period % 1_000 == 0 else {
            throw ConfigurationError("--export-period: expected whole seconds, up to 24h")
        }
        challenge =
            try source["challenge"].map { text throws(ConfigurationError) in
                try SettingValue.duration(text, setting: "challenge")
            } ?? 60_000
        guard (1_000...3_600_000).contains(challenge) else {
            throw ConfigurationError("--challenge: expected 1s to 1h")
        }
    }
}
