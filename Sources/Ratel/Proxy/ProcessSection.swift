internal import Loop
internal import RATS

/// Reads what the process as a whole is told; each is one of the settings of `ratel serve`, and
/// needs a restart.
struct ProcessSection {
    let fields: [String: PolicyNode]
    let files: NamedFiles

    /// The names in the file; underscores stand where flags have hyphens.
    static let names = [
        "admin", "admin_drain", "workers", "buffers", "gather", "grace", "drain_delay",
        "drain_end", "log_format", "log_level", "access_log", "attestation", "collateral",
    ]
    private static let attestation = [
        "attester", "tcti", "pcrs", "endorsements", "tsm_reports", "tdx_guest",
        "quoting_service", "metadata_service", "gramine", "nsm", "nvml",
    ]
    private static let collateral = [
        "collateral", "collateral_cache", "pcs", "kds", "rim", "ocsp", "collateral_ca",
    ]
    private static let groups = ["attestation": attestation, "collateral": collateral]
    /// Those that are paths, relative to the file.
    private static let paths = ["endorsements", "collateral", "collateral_ca"]

    /// Every setting by its flag's name, read once so that a mistake is told with its place.
    func settings() throws(Refusal) -> [String: String] {
        var settings: [String: String] = [:]
        for name in ProcessSection.names {
            guard let node = fields[name] else { continue }
            guard let names = ProcessSection.groups[name] else {
                settings[flag(name)] = try node.text()
                try check(node, [flag(name): try node.text()])
                continue
            }
            var group: [String: String] = [:]
            for (inner, value) in try node.fields(required: [], optional: names) {
                group[flag(inner)] =
                    ProcessSection.paths.contains(inner)
                    ? try files.resolve(value) : try value.text()
            }
            try check(node, group)
            settings.merge(group) { first, _ in first }
        }
        return settings
    }

    private func check(_ node: PolicyNode, _ settings: [String: String]) throws(Refusal) {
        do throws(ConfigurationError) {
            _ = try ProxySettings(ConfigurationSource(settings))
        } catch {
            throw node.refusal(
                node.code("value.refused"), expected: "what `ratel serve --help` has for it",
                got: error.description)
        }
    }

    private func flag(_ name: String) -> String {
        String(name.map { $0 == "_" ? "-" : $0 })
    }
}

/// What the process as a whole is told, read.
struct ProxySettings {
    /// Workers, buffers and grace; the address in it is nobody's.
    let gateway: GatewaySettings
    let admin: AdminSettings
    let logging: LoggingSettings
    let attester: AttesterSettings
    let collateral: CollateralSettings

    init(_ source: ConfigurationSource) throws(ConfigurationError) {
        gateway = try GatewaySettings(
            source, listen: "127.0.0.1:0", workers: Worker.processors)
        admin = try AdminSettings(source, default: "127.0.0.1:9090")
        logging = try LoggingSettings(source)
        attester = try AttesterSettings(source, default: .auto)
        collateral = try CollateralSettings(source)
    }
}
