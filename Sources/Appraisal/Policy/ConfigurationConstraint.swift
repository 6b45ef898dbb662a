public import Keys
internal import RATS

/// What one member of a peer's effective configuration may be.
public struct ConfigurationConstraint: Sendable, Equatable {
    /// The names from the outermost object inwards.
    public let path: [String]
    /// The values allowed; an absent member is not among them, nor is any other.
    public let allowed: [JSONValue]

    /// Constrains the member at `path`, which has at least one name.
    public init(path: [String], allowed: [JSONValue]) {
        self.path = path
        self.allowed = allowed
    }

    /// Refuses a configuration in which the member is absent or has another value.
    func check(_ configuration: JSONValue) throws(Refusal) {
        var value: JSONValue? = configuration
        for name in path { value = value?[name] }
        if let value, allowed.contains(value) { return }
        throw Refusal(
            "configuration.value.refused",
            .policy,
            field: path.joined(separator: "."),
            expected: allowed.map { $0.serialised() }.joined(separator: " or "),
            got: value?.serialised() ?? "nothing",
            remedy: "change the peer's configuration, or `configuration` in the policy"
        )
    }
}
