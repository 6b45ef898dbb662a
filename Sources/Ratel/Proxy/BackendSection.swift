internal import HTTP
internal import Loop
internal import RATS
internal import Streams

/// Reads one entry of `backends`.
struct BackendSection {
    let node: PolicyNode
    let files: NamedFiles

    private enum Word: String, CaseIterable { case plain, tls, attested }
    private enum ProxyProtocol: String, CaseIterable { case v2 }

    func backend() throws(Refusal) -> ProxyBackend {
        let always = ["name", "address", "protection"]
        let common = ["send_proxy_protocol", "connect_timeout", "max_connections", "health"]
        let all = try node.fields(
            required: always, optional: common + ["server_name", "roots", "policy"])
        guard let name = try all["name"]?.name(), let address = try all["address"]?.address(),
            let word = try all["protection"]?.word(Word.self)
        else { throw node.wrongType("a backend") }
        let own: [String]
        switch word {
        case .plain: own = []
        case .tls: own = ["server_name", "roots"]
        case .attested: own = ["policy"]
        }
        let fields = try node.fields(required: always + own, optional: common)
        let defaults = UpstreamTarget(address: address, security: .plain)
        return ProxyBackend(
            name: name, address: address, protection: try protection(word, fields),
            announcesCaller:
                try fields["send_proxy_protocol"]?.word(ProxyProtocol.self) != nil,
            // 10 ms to a minute: nothing connects faster, and nobody waits longer.
            connect: try fields["connect_timeout"]?.milliseconds(10...60_000)
                ?? defaults.budgets.connect,
            maximumConnections: try fields["max_connections"].map { node throws(Refusal) in
                Int(try node.integer(1...65_535))
            } ?? defaults.maximumConnections,
            health: try health(fields["health"]))
    }

    private func protection(
        _ word: Word, _ fields: [String: PolicyNode]
    ) throws(Refusal) -> ProxyBackend.Protection {
        switch (word, fields["server_name"], fields["roots"], fields["policy"]) {
        case (.plain, _, _, _): return .plain
        case (.tls, let name?, let roots?, _):
            return .tls(serverName: try serverName(name), roots: try files.roots(roots))
        case (.attested, _, _, let policy?): return .attested(policy: try files.policy(policy))
        default: throw node.wrongType("a backend")
        }
    }

    private func serverName(_ node: PolicyNode) throws(Refusal) -> String {
        let name = try node.text()
        // 253: the longest DNS name as text (RFC 1035 section 2.3.4).
        guard (1...253).contains(name.utf8.count), !name.contains("/"), !name.contains(" "),
            !name.utf8.contains(0)
        else {
            throw node.refusal(
                node.code("value.refused"), expected: "the name in the backend's certificate",
                got: name)
        }
        return name
    }

    private func health(_ node: PolicyNode?) throws(Refusal) -> HealthCheck {
        let fields = try node?.fields(
            required: [], optional: ["get", "interval", "timeout", "successes", "failures"])
        // 2 s: a readiness probe of Kubernetes asks every 10 s by default, so it sees fresh news.
        let interval = try fields?["interval"]?.milliseconds(100...3_600_000) ?? 2_000
        let timeout = try fields?["timeout"]?.milliseconds(10...60_000) ?? min(interval, 2_000)
        return HealthCheck(
            path: try fields?["get"].map { node throws(Refusal) in try path(node) },
            interval: interval, timeout: timeout,
            successes: try count(fields?["successes"]) ?? 1,
            failures: try count(fields?["failures"]) ?? 2)
    }

    private func count(_ node: PolicyNode?) throws(Refusal) -> Int? {
        // 100 in a row at the shortest interval are 10 s already.
        try node.map { node throws(Refusal) in Int(try node.integer(1...100)) }
    }

    private func path(_ node: PolicyNode) throws(Refusal) -> String {
        let path = try node.text()
        guard path.hasPrefix("/"), path.utf8.count <= 1_024,
            path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else {
            throw node.refusal(
                node.code("value.refused"), expected: "a path such as /health", got: path)
        }
        return path
    }
}
