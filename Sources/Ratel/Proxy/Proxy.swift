internal import Logging
internal import RATS

/// `ratel proxy`: many listeners in front, many backends behind, and routes between them.
public enum Proxy {
    /// Serves what the file at `path` says until it is told to stop; answers the exit status.
    public static func run(_ path: String) throws(ConfigurationError) -> Int32 {
        let configuration = try ProxyConfiguration.read(path)
        let settings = try ProxySettings(ConfigurationSource(configuration.process))
        let log = ProxyLog(settings.logging)
        return try ServiceRuntime(
            try ProxyOperation(configuration, settings, log: log), settings.gateway,
            logger: log.logger, admin: settings.admin
        ).run()
    }

    /// Says in words what the file at `path` does, or what is wrong with it: status 0 or 2.
    public static func check(_ path: String) -> Inspector.Finding {
        do throws(Refusal) {
            return Inspector.Finding(
                output: ProxyExplanation.text(try ProxyLoader.load(path: path)), status: 0)
        } catch {
            return Inspector.Finding(
                output: EvidenceReport.table(
                    Refusal(
                        error.code, error.stage, field: "\(path): \(error.field)",
                        expected: error.expected, got: error.got, remedy: error.remedy)),
                status: 2)
        }
    }
}

extension ProxyConfiguration {
    static func read(_ path: String) throws(ConfigurationError) -> ProxyConfiguration {
        do throws(Refusal) {
            return try ProxyLoader.load(path: path)
        } catch {
            throw ConfigurationError("\(path): \(error)")
        }
    }
}
