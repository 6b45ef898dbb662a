internal import Loop
public import RATS

/// Reads the file of `ratel proxy`.
///
/// Everything is refused that is not understood, as in policies. Errors: `Refusal` at stage
/// `configuration` that names place and line.
public struct ProxyLoader {
    /// Bytes of a file: a thousand routes of some hundred bytes, ten times over.
    public static let maxSize = 1 << 20
    /// Entries of each list. Routes are looked at one after the other, 1,024 in some 50 µs at
    /// worst; each listener costs a descriptor a worker, each backend a check every few seconds.
    static let maxEntries = 1_024

    private let files: NamedFiles

    /// Reads the file at `path`; paths inside are relative to its folder.
    public static func load(path: String) throws(Refusal) -> ProxyConfiguration {
        guard let bytes = System.readFile(path, limit: maxSize) else {
            throw Refusal(
                "proxy.file.unreadable", .configuration, field: path,
                expected: "a file of at most \(maxSize) bytes", got: "none that can be read",
                remedy: "check the path and its permissions")
        }
        return try load(bytes: bytes, path: path)
    }

    /// Reads `bytes` as the file at `path`.
    public static func load(
        bytes: [UInt8], path: String
    ) throws(Refusal) -> ProxyConfiguration {
        try ProxyLoader(files: NamedFiles(besideFile: path)).configuration(
            try PolicyNode.read(bytes, as: .proxy, maxSize: maxSize), path)
    }

    private func configuration(
        _ root: PolicyNode, _ path: String
    ) throws(Refusal) -> ProxyConfiguration {
        let fields = try root.fields(
            required: ["version", "listeners", "backends", "routes"],
            optional: ProcessSection.names)
        _ = try fields["version"]?.integer(1...1)
        let listeners = try entries(fields["listeners"], name: \.name) {
            node throws(Refusal) in try ListenerSection(node: node, files: files).listener()
        }
        let backends = try entries(fields["backends"], name: \.name) { node throws(Refusal) in
            try BackendSection(node: node, files: files).backend()
        }
        let routes = try entries(fields["routes"], name: \.name) { node throws(Refusal) in
            try RouteSection(node: node).route()
        }
        let configuration = ProxyConfiguration(
            path: path, process: try ProcessSection(fields: fields, files: files).settings(),
            listeners: listeners, backends: backends, routes: routes)
        try ProxyReferences(configuration).check(fields)
        return configuration
    }

    /// The entries of a list, each with a name of its own.
    private func entries<Entry>(
        _ node: PolicyNode?, name: (Entry) -> String, _ read: (PolicyNode) throws(Refusal) -> Entry
    ) throws(Refusal) -> [Entry] {
        try node?.list(atMost: ProxyLoader.maxEntries, name: name, read) ?? []
    }
}
