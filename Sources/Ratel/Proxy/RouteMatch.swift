internal import HTTP

/// What a request must be for a route: every kind of criterion that is there has to hold, and of
/// each kind one alternative, except of headers, which all have to.
public struct RouteMatch: Sendable, Equatable {
    /// Listeners by name.
    var listeners: [String]?
    var hosts: [HostPattern]?
    /// Prefixes that end at a segment's end, normalised.
    var paths: [String]?
    var headers: [HeaderPattern]?
    /// Models by the name in the request's body.
    var models: [String]?

    /// A host's whole name, or every name below one.
    enum HostPattern: Sendable, Equatable {
        case exact(String)
        /// With its leading dot.
        case below(String)

        func matches(_ host: String) -> Bool {
            switch self {
            case .exact(let name): host == name
            case .below(let suffix): host.hasSuffix(suffix) && host.count > suffix.count
            }
        }
    }

    /// A field and one value of it.
    struct HeaderPattern: Sendable, Equatable {
        let name: String
        let value: String
    }

    /// Whether everything but the model holds.
    func holds(_ request: RoutedRequest) -> Bool {
        if let listeners, !listeners.contains(request.listener) { return false }
        if let hosts {
            guard let host = request.host, hosts.contains(where: { $0.matches(host) }) else {
                return false
            }
        }
        if let paths {
            guard let path = request.path, paths.contains(where: { path.isBelow($0) }) else {
                return false
            }
        }
        return headers?.allSatisfy { request.fields.values(named: $0.name).contains($0.value) }
            ?? true
    }

    /// Whether it names the model, where it asks for one; nil is a body that names none.
    func holds(model: String?) -> Bool {
        guard let models else { return true }
        return model.map { models.contains($0) } ?? false
    }
}

/// What routes look at in a request.
struct RoutedRequest {
    /// The listener's name.
    let listener: String
    /// Without its port, in lower case.
    let host: String?
    /// Normalised; nil for `*`.
    let path: String?
    let fields: HTTPFields
    /// Whether a body comes that may name a model.
    let hasBody: Bool

    /// Refuses a path that backends may read as another one than routes do.
    init(_ head: RequestHead, listener: String) throws(HTTPRefusal) {
        self.listener = listener
        host = head.host.map(RoutedRequest.hostName)
        let path = head.path
        self.path = path == "*" ? nil : try RoutePath.normalise(path)
        fields = head.fields
        hasBody = head.framing != .none && head.framing != .length(0)
    }

    /// The name without port and final dot.
    static func hostName(_ host: String) -> String {
        var name = host[...]
        if let colon = name.lastIndex(of: ":"), !name.hasSuffix("]") { name = name[..<colon] }
        if name.hasSuffix(".") { name = name.dropLast() }
        return name.lowercased()
    }
}

extension String {
    /// Whether this path is `prefix` or below it, at a segment's border.
    fileprivate func isBelow(_ prefix: String) -> Bool {
        guard hasPrefix(prefix) else { return false }
        return prefix.hasSuffix("/") || count == prefix.count
            || utf8[utf8.index(utf8.startIndex, offsetBy: prefix.utf8.count)]
                == UInt8(ascii: "/")
    }
}
