internal import Loop
internal import RATS
internal import Streams

/// Reads one entry of `listeners`.
struct ListenerSection {
    let node: PolicyNode
    let files: NamedFiles

    private enum Word: String, CaseIterable { case plain, tls, attested, passthrough }
    private enum Forwarded: String, CaseIterable { case off, append }
    private enum ProxyProtocol: String, CaseIterable { case v2 }

    func listener() throws(Refusal) -> ProxyListener {
        let every = ["proxy_protocol", "max_connections"]
        let http = every + ["forwarded", "idle_timeout"]
        let known = ["certificate", "key", "policy", "backends"]
        let all = try node.fields(
            required: ["name", "address", "protection"], optional: http + known)
        guard let name = try all["name"]?.name(), let address = try all["address"]?.address(),
            let word = try all["protection"]?.word(Word.self)
        else { throw node.wrongType("a listener") }
        var required: [String] = ["name", "address", "protection"]
        var optional = http
        switch word {
        case .plain: break
        case .tls: required += ["certificate", "key"]
        case .attested:
            required.append("policy")
            optional += ["certificate", "key"]
        case .passthrough:
            required.append("backends")
            optional = every + ["idle_timeout"]
        }
        let fields = try node.fields(required: required, optional: optional)
        guard address.isNumeric else {
            throw fields["address"]?.refusal(
                node.code("value.refused"), expected: "an IP address and a port, or unix:/path",
                got: address.description) ?? node.wrongType("an address")
        }
        let defaults = GatewaySettings(listen: address)
        let isAnnounced = try fields["proxy_protocol"]?.word(ProxyProtocol.self) != nil
        // 1 s to a day: shorter ends callers between two requests, longer is never.
        let idle = try fields["idle_timeout"]?.milliseconds(1_000...86_400_000)
        return ProxyListener(
            name: name, address: address,
            protection: try protection(word, fields, idle: idle),
            awaitsProxyHeader: isAnnounced,
            forwardsClientAddress: try fields["forwarded"]?.word(Forwarded.self) == .append,
            maximumConnections: try fields["max_connections"].map { node throws(Refusal) in
                Int(try node.integer(1...1_048_576))
            } ?? defaults.maximumConnections,
            idle: idle ?? defaults.budgets.idle)
    }

    private func protection(
        _ word: Word, _ fields: [String: PolicyNode], idle: UInt64?
    ) throws(Refusal) -> ProxyListener.Protection {
        var certificate: ServerCertificate?
        switch (fields["certificate"], fields["key"]) {
        case (let chain?, let key?): certificate = try files.certificate(chain, key: key)
        case (nil, nil): break
        default:
            throw node.refusal(
                node.code("key.missing"), expected: "`certificate` and `key` together",
                got: "one of them")
        }
        switch (word, certificate, fields["policy"], fields["backends"]) {
        case (.plain, _, _, _): return .plain
        case (.tls, let certificate?, _, _): return .tls(certificate)
        case (.attested, _, let policy?, _):
            return .attested(policy: try files.policy(policy), certificate: certificate)
        case (.passthrough, _, _, let backends?):
            return .passthrough(
                ProxyListener.Passthrough(
                    backends: try backends.texts { node throws(Refusal) in try node.name() },
                    idle: idle ?? Budgets().gap))
        default: throw node.wrongType("a listener")
        }
    }
}

extension NamedFiles {
    /// The path of a policy that can be read.
    func policy(_ node: PolicyNode) throws(Refusal) -> String {
        let path = try resolve(node)
        do throws(Refusal) {
            _ = try PolicyLoader.load(path: path)
        } catch {
            throw Refusal(
                error.code, .configuration, field: "\(path): \(error.field)",
                expected: error.expected, got: error.got, remedy: error.remedy)
        }
        return path
    }
}
