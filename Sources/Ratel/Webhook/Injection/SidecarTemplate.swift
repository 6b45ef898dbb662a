internal import Keys

/// What the webhook puts beside a backend: a container, its volumes, and what the pod may choose.
struct SidecarTemplate: Sendable, Equatable {
    /// One setting that a pod may make as `ratel.dev/NAME`; `${NAME}` stands for it in the texts
    /// of the container and its volumes.
    struct Annotation: Sendable, Equatable {
        /// What values there are.
        enum Kind: Sendable, Equatable {
            /// A TCP port, 1 to 65535.
            case port
            /// The name of an object of Kubernetes (RFC 1123 subdomain).
            case name
            /// One of these words.
            case word([String])
        }

        let name: String
        let kind: Kind
        /// What holds where the pod says nothing.
        let fallback: String
    }

    let annotations: [Annotation]
    /// Whether the container is an init container with `restartPolicy: Always`.
    let isNative: Bool
    /// The container as the API has it, with placeholders.
    let container: JSONValue
    let containerName: String
    let volumes: [JSONValue]
    /// The preStop hook for containers that have none of their own.
    let backendPreStop: JSONValue?
    /// Seconds that the pod must have to end in.
    let minimumGracePeriod: Int
    /// SHA-256 of the file: what a pod was injected with.
    let digest: [UInt8]
}

extension SidecarTemplate.Annotation.Kind {
    func allows(_ value: String) -> Bool {
        switch self {
        case .port: UInt16(value).map { $0 > 0 && String($0) == value } ?? false
        case .name: KubernetesName.isSubdomain(value)
        case .word(let words): words.contains(value)
        }
    }

    /// For refusals.
    var expected: String {
        switch self {
        case .port: "a port, 1 to 65535"
        case .name: "a name of lower-case letters, digits, `-` and `.`"
        case .word(let words): words.joined(separator: " or ")
        }
    }
}
