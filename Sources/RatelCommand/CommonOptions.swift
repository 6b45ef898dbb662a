internal import ArgumentParser
internal import Logging
internal import Loop
internal import Ratel
internal import Streams

/// Options that every long-running command has.
struct CommonOptions: ParsableArguments {
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

    @Option(
        name: .customLong("access-log"),
        help: """
            off, or metadata: method, path, status, sizes and times of each request; never a body \
            or a header (default: off).
            """)
    var accessLog: String?

    @Option(help: "Worker threads, each with its own event loop (default: one per processor).")
    var workers: String?

    @Option(help: "Buffers of 17 KiB that each worker may use (default: 4096).")
    var buffers: String?

    @Option(
        name: .customLong("max-connections"),
        help: "Connections that each worker accepts (default: 10000).")
    var maxConnections: String?

    @Option(
        name: .customLong("forwarded"),
        help: "off, or append: tell the backend the caller's address (default: off).")
    var forwarded: String?

    @Option(
        help: ArgumentHelp(
            "How long SIGTERM waits for streams to end (default: 30s).", valueName: "duration"))
    var grace: String?

    @Option(
        name: .customLong("connect-timeout"),
        help: ArgumentHelp("To connect to the upstream (default: 5s).", valueName: "duration"))
    var connectTimeout: String?

    @Option(
        name: .customLong("first-byte-timeout"),
        help: ArgumentHelp(
            "From a request's end to its answer's first byte (default: 10m).",
            valueName: "duration"))
    var firstByteTimeout: String?

    @Option(
        name: .customLong("gap-timeout"),
        help: ArgumentHelp(
            "Between two pieces of an answer (default: 5m). There is no total timeout.",
            valueName: "duration"))
    var gapTimeout: String?

    @Option(
        name: .customLong("idle-timeout"),
        help: ArgumentHelp(
            "Of a connection that waits for a request (default: 75s).", valueName: "duration"))
    var idleTimeout: String?

    static let names = [
        "admin", "log-format", "log-level", "access-log", "workers", "buffers",
        "max-connections", "forwarded", "grace", "connect-timeout", "first-byte-timeout",
        "gap-timeout", "idle-timeout",
    ]

    func source(_ names: [String]) throws(ConfigurationError) -> ConfigurationSource {
        let path = try ConfigurationSource(path: nil, known: []).value("config", flag: config)
        return try ConfigurationSource(path: path, known: CommonOptions.names + names)
    }

    func logging(_ source: ConfigurationSource) throws(ConfigurationError) -> LoggingSettings {
        var settings = LoggingSettings(format: .text, level: .info, accessLog: .off)
        if let text = source.value("log-format", flag: logFormat) {
            settings.format = try SettingValue.choice(text, setting: "log-format")
        }
        if let text = source.value("log-level", flag: logLevel) {
            settings.level = try SettingValue.choice(text, setting: "log-level")
        }
        if let text = source.value("access-log", flag: accessLog) {
            settings.accessLog = try SettingValue.choice(text, setting: "access-log")
        }
        return settings
    }

    func admin(
        _ source: ConfigurationSource, default fallback: Address?
    ) throws(ConfigurationError) -> Address? {
        guard let text = source.value("admin", flag: admin) else { return fallback }
        return text == "off" ? nil : try SettingValue.address(text, setting: "admin")
    }

    func gateway(
        _ source: ConfigurationSource, listen: Address
    ) throws(ConfigurationError) -> GatewaySettings {
        var settings = GatewaySettings(listen: listen)
        if let text = source.value("workers", flag: workers) {
            settings.workers = try SettingValue.number(text, in: 1...1_024, setting: "workers")
        }
        if let text = source.value("buffers", flag: buffers) {
            settings.buffersPerWorker = try SettingValue.number(
                text, in: 16...1_048_576, setting: "buffers")
        }
        if let text = source.value("max-connections", flag: maxConnections) {
            settings.maximumConnections = try SettingValue.number(
                text, in: 1...1_048_576, setting: "max-connections")
        }
        if let text = source.value("forwarded", flag: forwarded) {
            guard text == "off" || text == "append" else {
                throw ConfigurationError("--forwarded: expected off or append, got \(text)")
            }
            settings.forwardsClientAddress = text == "append"
        }
        try setDuration("grace", grace, source, &settings.grace)
        try setDuration("connect-timeout", connectTimeout, source, &settings.budgets.connect)
        try setDuration(
            "first-byte-timeout", firstByteTimeout, source, &settings.budgets.firstByte)
        try setDuration("gap-timeout", gapTimeout, source, &settings.budgets.gap)
        try setDuration("idle-timeout", idleTimeout, source, &settings.budgets.idle)
        return settings
    }

    private func setDuration(
        _ name: String, _ flag: String?, _ source: ConfigurationSource, _ value: inout UInt64
    ) throws(ConfigurationError) {
        guard let text = source.value(name, flag: flag) else { return }
        value = try SettingValue.duration(text, setting: name)
    }
}
