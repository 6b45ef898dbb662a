internal import Loop

/// A proxy's file in words.
enum ProxyExplanation {
    static func text(_ configuration: ProxyConfiguration) -> String {
        var table = Table()
        table.heading("listeners")
        for listener in configuration.listeners { table.row(listener.name, words(listener)) }
        table.heading("routes, the first that matches")
        for route in configuration.routes { table.row(route.name, words(route)) }
        table.heading("backends")
        for backend in configuration.backends { table.row(backend.name, words(backend)) }
        return table.text
    }

    private static func words(_ listener: ProxyListener) -> String {
        var words = [listener.address.description]
        switch listener.protection {
        case .plain: words.append("plain")
        case .tls: words.append("TLS, for anybody")
        case .attested(let policy, _): words.append("attested, callers by \(policy)")
        case .passthrough(let passthrough):
            words.append("bytes to \(passthrough.backends.joined(separator: ", "))")
        }
        if listener.awaitsProxyHeader { words.append("PROXY protocol v2 demanded") }
        return words.joined(separator: "; ")
    }

    private static func words(_ route: ProxyRoute) -> String {
        var words: [String] = []
        let match = route.match
        if let listeners = match.listeners { words.append("listener \(any(of: listeners))") }
        if let hosts = match.hosts {
            words.append(
                "host "
                    + any(
                        of: hosts.map {
                            switch $0 {
                            case .exact(let name): name
                            case .below(let suffix): "*" + suffix
                            }
                        }))
        }
        if let paths = match.paths { words.append("path \(any(of: paths))") }
        for header in match.headers ?? [] {
            words.append("header \(header.name) is \(header.value)")
        }
        if let models = match.models { words.append("model \(any(of: models))") }
        if words.isEmpty { words.append("any request") }
        words.append("to \(route.backends.joined(separator: ", "))")
        switch route.access {
        case .any: words.append("for any caller")
        case .peers(let names): words.append("for \(any(of: names)) alone")
        }
        switch route.padding {
        case .off: words.append("not padded")
        case .records: words.append("padded records")
        case .tick: words.append("padded records, tokens every 50 ms")
        }
        if let streams = route.maximumStreams { words.append("at most \(streams) streams") }
        if let body = route.maximumBody { words.append("bodies of at most \(body) bytes") }
        return words.joined(separator: "; ")
    }

    private static func words(_ backend: ProxyBackend) -> String {
        var words = [backend.address.description]
        switch backend.protection {
        case .plain: words.append("plain")
        case .tls(let name, _): words.append("TLS as \(name)")
        case .attested(let policy): words.append("attested, by \(policy)")
        }
        if backend.announcesCaller { words.append("PROXY protocol v2 sent") }
        let health = backend.health
        let what = health.path.map { "GET \($0)" } ?? "connect"
        words.append("\(what) every \(health.interval) ms")
        return words.joined(separator: "; ")
    }

    private static func any(of words: [String]) -> String { words.joined(separator: " or ") }
}
