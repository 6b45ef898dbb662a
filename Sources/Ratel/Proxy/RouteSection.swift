internal import HTTP
internal import RATS
internal import Streams

/// Reads one entry of `routes`.
struct RouteSection {
    let node: PolicyNode

    private enum Balance: String, CaseIterable { case leastStreams = "least-streams" }

    func route() throws(Refusal) -> ProxyRoute {
        let fields = try node.fields(
            required: ["name", "match", "backends", "access"],
            optional: ["balance", "limits", "timeouts", "padding"])
        guard let name = try fields["name"]?.name(), let match = try fields["match"].map(match),
            let access = try fields["access"].map(access),
            let backends = try fields["backends"]?.texts({ node throws(Refusal) in
                try node.name()
            })
        else { throw node.wrongType("a route") }
        _ = try fields["balance"]?.word(Balance.self)
        let limits = try fields["limits"]?.fields(required: [], optional: ["streams", "body"])
        let times = try fields["timeouts"]?.fields(
            required: [], optional: ["first_byte", "gap", "request_gap"])
        let defaults = Budgets()
        // 10 ms to a day: a batch may wait a night, and no stream is quiet for a day.
        let range = UInt64(10)...86_400_000
        return ProxyRoute(
            name: name, match: match, backends: backends, access: access,
            maximumStreams: try limits?["streams"].map { node throws(Refusal) in
                Int(try node.integer(1...1_048_576))
            },
            // Up to 1 TiB: what is not limited is left out.
            maximumBody: try limits?["body"]?.byteCount(0...1 << 40),
            firstByte: try times?["first_byte"]?.milliseconds(range) ?? defaults.firstByte,
            gap: try times?["gap"]?.milliseconds(range) ?? defaults.gap,
            requestGap: try times?["request_gap"]?.milliseconds(range) ?? defaults.requestGap,
            writtenPadding: try fields["padding"]?.word(Padding.self))
    }

    private func access(_ node: PolicyNode) throws(Refusal) -> ProxyRoute.Access {
        if node.isAny { return .any }
        let fields = try node.fields(required: ["peers"])
        guard let peers = fields["peers"] else { throw node.wrongType("peers") }
        return .peers(try peers.texts { node throws(Refusal) in try node.name() })
    }

    private func match(_ node: PolicyNode) throws(Refusal) -> RouteMatch {
        if node.isAny { return RouteMatch() }
        let fields = try node.fields(
            required: [], optional: ["listener", "host", "path", "header", "model"])
        guard !fields.isEmpty else {
            throw node.refusal(
                node.code("value.refused"), expected: "criteria, or the word any", got: "none")
        }
        return RouteMatch(
            listeners: try fields["listener"]?.texts { node throws(Refusal) in try node.name() },
            hosts: try fields["host"].map(hosts),
            paths: try fields["path"]?.texts(path),
            headers: try fields["header"].map(headers),
            models: try fields["model"]?.texts(model))
    }

    private func hosts(_ node: PolicyNode) throws(Refusal) -> [RouteMatch.HostPattern] {
        let names = try node.texts { node throws(Refusal) in
            let text = try node.text()
            let name = text.hasPrefix("*.") ? text.dropFirst(2) : text[...]
            let isName = name.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                    UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: ":"):
                    true
                default: false
                }
            }
            // A port would never match: it is taken off before.
            guard !name.isEmpty, isName, !name.hasPrefix("."), !name.hasSuffix("."),
                !name.contains(":") || name.hasSuffix("]")
            else {
                throw node.refusal(
                    node.code("value.refused"),
                    expected: "a host in lower case without a port, or *.SUFFIX", got: text)
            }
            return text
        }
        return names.map {
            $0.hasPrefix("*.") ? .below(String($0.dropFirst())) : .exact($0)
        }
    }

    private func path(_ node: PolicyNode) throws(Refusal) -> String {
        let text = try node.text()
        guard text.hasPrefix("/"), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            !text.contains("?"), !text.contains("#"),
            let normal = try? RoutePath.normalise(text)
        else {
            throw node.refusal(
                node.code("value.refused"), expected: "a path such as /v1, without dot segments",
                got: text)
        }
        return normal
    }

    private func headers(_ node: PolicyNode) throws(Refusal) -> [RouteMatch.HeaderPattern] {
        var found: [RouteMatch.HeaderPattern] = []
        for (name, value) in try node.entries() {
            guard HTTPFields.isName(name) else {
                throw value.refusal(
                    node.code("value.refused"), expected: "a header's name", got: name)
            }
            found.append(RouteMatch.HeaderPattern(name: name, value: try value.text()))
        }
        guard !found.isEmpty else { throw node.wrongType("at least one header") }
        return found
    }

    private func model(_ node: PolicyNode) throws(Refusal) -> String {
        let text = try node.text()
        guard (1...ModelScanner.maxName).contains(text.utf8.count) else {
            throw node.refusal(
                node.code("value.refused"),
                expected: "a name of 1 to \(ModelScanner.maxName) bytes", got: text)
        }
        return text
    }
}
