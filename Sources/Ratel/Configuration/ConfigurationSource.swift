public import Loop
internal import Yams

/// Why a configuration cannot be used: which setting, what was expected, what came.
public struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    public let description: String

    /// Describes one mistake.
    public init(_ description: String) {
        self.description = description
    }
}

/// Where settings come from: a flag, else the environment (`RATEL_` and the name in capitals), else
/// the YAML file of `--config`, under one name everywhere.
public struct ConfigurationSource {
    private let file: [String: String]
    private let flags: [String: String]

    /// Bytes of a configuration file: it holds some dozens of short settings.
    private static let maximumSize = 64 * 1024

    /// Takes the flags that were given; reads the file of `config` when there is one, and refuses
    /// names in it that are not among the flags that could be given.
    public init(_ groups: [String: String?]...) throws(ConfigurationError) {
        let flags = groups.reduce(into: [:]) { $0.merge($1) { first, _ in first } }
        self.flags = flags.compactMapValues { $0 }
        let known = flags.keys.filter { $0 != "config" }
        let path = self.flags["config"] ?? System.environment("RATEL_CONFIG")
        guard let path else {
            file = [:]
            return
        }
        guard let bytes = System.readFile(path, limit: ConfigurationSource.maximumSize) else {
            throw ConfigurationError("\(path): cannot be read, or is larger than 64 KiB")
        }
        let node: Node?
        do {
            node = try Yams.compose(yaml: String(decoding: bytes, as: UTF8.self))
        } catch {
            throw ConfigurationError("\(path): not YAML: \(error)")
        }
        file = try ConfigurationSource.settings(of: node, path: path, known: known)
    }

    /// Settings that a part of another file holds, by the names that the flags have.
    init(_ settings: [String: String]) {
        flags = [:]
        file = settings
    }

    private static func settings(
        of node: Node?, path: String, known: [String]
    ) throws(ConfigurationError) -> [String: String] {
        guard let node else { return [:] }
        guard case .mapping(let mapping) = node else {
            throw ConfigurationError("\(path): expected settings as `name: value`")
        }
        var found: [String: String] = [:]
        for (key, value) in mapping {
            guard case .scalar(let name) = key, case .scalar(let text) = value else {
                throw ConfigurationError("\(path): every setting is `name: value`")
            }
            guard known.contains(name.string) else {
                throw ConfigurationError(
                    "\(path): there is no setting `\(name.string)`; expected one of "
                        + known.sorted().joined(separator: ", "))
            }
            guard found.updateValue(text.string, forKey: name.string) == nil else {
                throw ConfigurationError("\(path): `\(name.string)` is set twice")
            }
        }
        return found
    }

    /// The value of a setting, nil when nobody set it.
    public subscript(_ name: String) -> String? {
        if let flag = flags[name] { return flag }
        return System.environment(ConfigurationSource.variable(name)) ?? file[name]
    }

    /// The value of a setting that must be set.
    public func required(_ name: String) throws(ConfigurationError) -> String {
        guard let value = self[name] else {
            throw ConfigurationError(
                "--\(name) is missing (or \(ConfigurationSource.variable(name)), "
                    + "or `\(name):` in the file of --config)")
        }
        return value
    }

    private static func variable(_ name: String) -> String {
        "RATEL_" + name.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
    }
}

/// Readers of single values.
public enum SettingValue {
    /// `host:port`, `[v6]:port`, `:port` (every address) or `unix:/path`.
    public static func address(
        _ text: String, setting: String
    ) throws(ConfigurationError) -> Address {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            // sun_path of unix(7): 108 bytes with the terminator.
            guard path.hasPrefix("/"), path.utf8.count < 108 else {
                throw ConfigurationError(
                    "--\(setting): expected unix:/absolute/path of at most 107 bytes, got \(text)")
            }
            return .unix(path: path)
        }
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...])
        else {
            throw ConfigurationError("--\(setting): expected HOST:PORT or unix:/path, got \(text)")
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        return .ip(host: host.isEmpty ? "0.0.0.0" : host, port: port)
    }

    /// `http://host:port` or `unix:/path`.
    public static func backend(
        _ text: String, setting: String
    ) throws(ConfigurationError) -> Address {
        if text.hasPrefix("unix:") { return try address(text, setting: setting) }
        guard text.hasPrefix("http://") else {
            throw ConfigurationError(
                "--\(setting): expected http://HOST:PORT or unix:/path, got \(text)")
        }
        var rest = String(text.dropFirst(7))
        if rest.hasSuffix("/") { rest.removeLast() }
        guard !rest.contains("/") else {
            throw ConfigurationError("--\(setting): a path after the port is not used; got \(text)")
        }
        if !rest.contains(":") { rest += ":80" }
        return try address(rest, setting: setting)
    }

    /// `250ms`, `30s`, `10m`, `24h`; answers milliseconds.
    public static func duration(
        _ text: String, setting: String
    ) throws(ConfigurationError) -> UInt64 {
        let units: [(String, UInt64)] = [
            ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000),
        ]
        for (suffix, factor) in units where text.hasSuffix(suffix) {
            guard let number = UInt64(text.dropLast(suffix.count)) else { continue }
            let (product, overflow) = number.multipliedReportingOverflow(by: factor)
            // A year: libuv's timers are fine with it and nobody means more.
            if !overflow, product <= 365 * 24 * 3_600_000 { return product }
        }
        throw ConfigurationError(
            "--\(setting): expected a duration such as 250ms, 30s or 10m, got \(text)")
    }

    /// A whole number in a range.
    public static func number(
        _ text: String, in range: ClosedRange<Int>, setting: String
    ) throws(ConfigurationError) -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw ConfigurationError(
                "--\(setting): expected a number from \(range.lowerBound) to \(range.upperBound), "
                    + "got \(text)")
        }
        return number
    }

    /// One of the cases of an enumeration.
    public static func choice<Choice: RawRepresentable & CaseIterable>(
        _ text: String, setting: String
    ) throws(ConfigurationError) -> Choice where Choice.RawValue == String {
        guard let choice = Choice(rawValue: text) else {
            throw ConfigurationError(
                "--\(setting): expected "
                    + Choice.allCases.map(\.rawValue).joined(separator: ", ") + "; got \(text)")
        }
        return choice
    }
}

extension SettingValue {
    /// Numbers and ranges, `0-7,11`; in order, each once.
    public static func list(
        _ text: String, in range: ClosedRange<Int>, setting: String
    ) throws(ConfigurationError) -> [Int] {
        var numbers: Set<Int> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            guard let first = ends.first, let last = ends.last, ends.count <= 2,
                let low = Int(first), let high = Int(last), low <= high, range.contains(low),
                range.contains(high)
            else {
                throw ConfigurationError(
                    "--\(setting): expected numbers from \(range.lowerBound) to "
                        + "\(range.upperBound) such as 0-7,11; got \(text)")
            }
            numbers.formUnion(low...high)
        }
        return numbers.sorted()
    }
}
