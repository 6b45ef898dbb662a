internal import Logging
internal import Loop
internal import Streams

// Each group of settings as it is read from its source: the names are those of the flags.

extension GatewaySettings {
    init(
        _ source: ConfigurationSource, listen fallback: String, workers count: Int
    ) throws(ConfigurationError) {
        self.init(
            listen: try SettingValue.address(source["listen"] ?? fallback, setting: "listen"))
        workers = count
        if let text = source["workers"] {
            workers = try SettingValue.number(text, in: 1...1_024, setting: "workers")
        }
        if let text = source["buffers"] {
            buffersPerWorker = try SettingValue.number(
                text, in: 16...1_048_576, setting: "buffers")
        }
        if let text = source["max-connections"] {
            maximumConnections = try SettingValue.number(
                text, in: 1...1_048_576, setting: "max-connections")
        }
        if let text = source["forwarded"] {
            guard text == "off" || text == "append" else {
                throw ConfigurationError("--forwarded: expected off or append, got \(text)")
            }
            forwardsClientAddress = text == "append"
        }
        if let text = source["padding"] {
            padding = try SettingValue.choice(text, setting: "padding")
        }
        if let text = source["gather"] { gather = try SettingValue.gather(text) }
        try read("grace", source, &grace)
        try read("drain-delay", source, &drainDelay)
        try read("drain-end", source, &drainEnd)
        try read("connect-timeout", source, &budgets.connect)
        try read("first-byte-timeout", source, &budgets.firstByte)
        try read("gap-timeout", source, &budgets.gap)
        try read("idle-timeout", source, &budgets.idle)
    }

    private func read(
        _ name: String, _ source: ConfigurationSource, _ value: inout UInt64
    ) throws(ConfigurationError) {
        guard let text = source[name] else { return }
        value = try SettingValue.duration(text, setting: name)
    }
}

extension SettingValue {
    /// `0`, or `100us` to `1000us` (also `1ms`); answers microseconds.
    static func gather(_ text: String) throws(ConfigurationError) -> UInt64 {
        if text == "0" { return 0 }
        if text == "1ms" { return 1_000 }
        // At least twice what the kernel's timers are late by, at most what nobody notices.
        guard text.hasSuffix("us"), let number = UInt64(text.dropLast(2)),
            (100...1_000).contains(number)
        else {
            throw ConfigurationError("--gather: expected 0, or 100us to 1ms; got \(text)")
        }
        return number
    }
}

extension LoggingSettings {
    init(_ source: ConfigurationSource) throws(ConfigurationError) {
        self.init(format: .text, level: .info, accessLog: .off)
        if let text = source["log-format"] {
            format = try SettingValue.choice(text, setting: "log-format")
        }
        if let text = source["log-level"] {
            level = try SettingValue.choice(text, setting: "log-level")
        }
        if let text = source["access-log"] {
            accessLog = try SettingValue.choice(text, setting: "access-log")
        }
    }
}

extension ProvidedIdentity {
    static func read(
        _ source: ConfigurationSource
    ) throws(ConfigurationError) -> ProvidedIdentity? {
        switch (source["tls-certificate"], source["tls-key"]) {
        case (nil, nil): return nil
        case (let certificate?, let key?):
            return ProvidedIdentity(certificatePath: certificate, keyPath: key)
        default:
            throw ConfigurationError("--tls-certificate and --tls-key go together")
        }
    }
}

extension AdminSettings {
    init(_ source: ConfigurationSource, default fallback: String) throws(ConfigurationError) {
        let text = source["admin"] ?? fallback
        address = text == "off" ? nil : try SettingValue.address(text, setting: "admin")
        guard let word = source["admin-drain"] else { return }
        guard word == "on" || word == "off" else {
            throw ConfigurationError("--admin-drain: expected on or off, got \(word)")
        }
        drains = word == "on"
    }
}
