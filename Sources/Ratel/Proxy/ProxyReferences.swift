internal import Loop
internal import RATS

/// Holds the names in a proxy's file to what they name.
struct ProxyReferences {
    private let configuration: ProxyConfiguration

    init(_ configuration: ProxyConfiguration) { self.configuration = configuration }

    /// `fields` are the lists, for the places.
    func check(_ fields: [String: PolicyNode]) throws(Refusal) {
        try checkListeners(try fields["listeners"]?.items() ?? [])
        try checkRoutes(try fields["routes"]?.items() ?? [])
        if configuration.listeners.isEmpty, let list = fields["listeners"] {
            throw list.refusal(
                "proxy.value.refused", expected: "at least one listener", got: "an empty list")
        }
    }

    private func checkListeners(_ nodes: [PolicyNode]) throws(Refusal) {
        var addresses: [Address] = []
        for (listener, node) in zip(configuration.listeners, nodes) {
            // Port 0 is another one each time.
            var isChosen = false
            if case .ip(_, 0) = listener.address { isChosen = true }
            guard isChosen || !addresses.contains(listener.address) else {
                throw node.refusal(
                    "proxy.address.duplicate", expected: "an address of its own",
                    got: listener.address.description)
            }
            addresses.append(listener.address)
            guard case .passthrough(let passthrough) = listener.protection else { continue }
            for name in passthrough.backends {
                let backend = try backend(name, node)
                guard backend.protection == .plain else {
                    throw node.refusal(
                        "proxy.passthrough.protection",
                        expected: "backends with `protection: plain`",
                        got: "the backend \(name) with another",
                        remedy: "passthrough relays bytes: callers and backend end TLS themselves")
                }
            }
        }
    }

    private func checkRoutes(_ nodes: [PolicyNode]) throws(Refusal) {
        let http = configuration.listeners.filter { !$0.isPassthrough }.map(\.name)
        for (route, node) in zip(configuration.routes, nodes) {
            for name in route.backends { _ = try backend(name, node) }
            for name in route.match.listeners ?? [] where !http.contains(name) {
                throw node.refusal(
                    "proxy.reference.unknown", expected: "a listener that reads requests",
                    got: name, remedy: "name one of \(http.joined(separator: ", "))")
            }
        }
    }

    private func backend(_ name: String, _ node: PolicyNode) throws(Refusal) -> ProxyBackend {
        guard let found = configuration.backends.first(where: { $0.name == name }) else {
            let names = configuration.backends.map(\.name).joined(separator: ", ")
            throw node.refusal(
                "proxy.reference.unknown", expected: "one of the backends \(names)", got: name,
                remedy: "add it to `backends`, or correct the name")
        }
        return found
    }
}
