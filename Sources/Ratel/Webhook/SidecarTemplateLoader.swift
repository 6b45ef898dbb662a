internal import Keys
internal import Loop
internal import RATS

/// Reads the webhook's template, a YAML file; what is not understood is refused by line.
struct SidecarTemplateLoader {
    /// Bytes of a file: a ConfigMap holds 1 MiB at most.
    static let maxSize = 1 << 20

    /// Reads the file at `path`.
    static func load(path: String) throws(Refusal) -> SidecarTemplate {
        guard let bytes = System.readFile(path, limit: maxSize) else {
            throw Refusal(
                "template.file.unreadable", .configuration, field: path,
                expected: "a file of at most \(maxSize) bytes", got: "none that can be read",
                remedy: "check the path and its permissions")
        }
        return try load(bytes: bytes)
    }

    /// Reads `bytes` as such a file.
    static func load(bytes: [UInt8]) throws(Refusal) -> SidecarTemplate {
        let root = try PolicyNode.read(bytes, as: .template, maxSize: maxSize)
        let fields = try root.fields(
            required: ["version", "native", "annotations", "container", "volumes"],
            optional: ["backend_pre_stop", "minimum_termination_grace_period_seconds"])
        _ = try fields["version"]?.integer(1...1)
        let container = try fields["container"]?.tree() ?? .null
        guard let name = container["name"]?.text, KubernetesName.isLabel(name) else {
            throw (fields["container"] ?? root).refusal(
                "template.container.name", expected: "a container with a `name`, an RFC 1123 label",
                got: container["name"]?.serialised() ?? "none")
        }
        // A day: whoever means more has mistaken the unit.
        let grace = try fields["minimum_termination_grace_period_seconds"]?.integer(0...86_400)
        let template = SidecarTemplate(
            annotations: try annotations(fields["annotations"]),
            isNative: try fields["native"]?.flag() ?? true, container: container,
            containerName: name, volumes: try volumes(fields["volumes"]),
            backendPreStop: try fields["backend_pre_stop"]?.tree(),
            minimumGracePeriod: Int(grace ?? 0), digest: Digest.sha256(bytes))
        try checkPlaceholders(of: template, root)
        return template
    }

    private static func annotations(
        _ node: PolicyNode?
    ) throws(Refusal) -> [SidecarTemplate.Annotation] {
        var annotations: [SidecarTemplate.Annotation] = []
        for (name, entry) in try node?.entries() ?? [] {
            guard KubernetesName.isLabel(name), !PodInjection.reserved.contains(name) else {
                throw entry.refusal(
                    "template.annotation.name",
                    expected: "an RFC 1123 label other than "
                        + PodInjection.reserved.joined(separator: " and "), got: name)
            }
            annotations.append(try annotation(name, entry))
        }
        return annotations
    }

    private static func annotation(
        _ name: String, _ entry: PolicyNode
    ) throws(Refusal) -> SidecarTemplate.Annotation {
        let fields = try entry.fields(required: ["default"], optional: ["kind", "one_of"])
        let kind: SidecarTemplate.Annotation.Kind
        switch (fields["kind"], fields["one_of"]) {
        case (let node?, nil): kind = try Self.kind(node)
        case (nil, let node?):
            var words: [String] = []
            for item in try node.items() { words.append(try item.text()) }
            kind = .word(words)
        default:
            throw entry.refusal(
                "template.annotation.kind", expected: "either `kind` or `one_of`",
                got: fields["kind"] == nil ? "neither" : "both")
        }
        let fallback = try fields["default"]?.text() ?? ""
        guard kind.allows(fallback) else {
            throw entry.refusal(
                "template.annotation.default", expected: kind.expected, got: fallback)
        }
        return SidecarTemplate.Annotation(name: name, kind: kind, fallback: fallback)
    }

    private static func kind(
        _ node: PolicyNode
    ) throws(Refusal) -> SidecarTemplate.Annotation.Kind {
        switch try node.text() {
        case "port": return .port
        case "name": return .name
        case let other:
            throw node.refusal(
                "template.value.refused", expected: "port or name", got: other)
        }
    }

    private static func volumes(_ node: PolicyNode?) throws(Refusal) -> [JSONValue] {
        var volumes: [JSONValue] = []
        for item in try node?.items() ?? [] {
            let volume = try item.tree()
            guard let name = volume["name"]?.text, KubernetesName.isLabel(name),
                !volumes.contains(where: { $0["name"]?.text == name })
            else {
                throw item.refusal(
                    "template.volume.name", expected: "a volume with a `name` of its own",
                    got: volume["name"]?.serialised() ?? "none")
            }
            volumes.append(volume)
        }
        return volumes
    }

    // A name that stands for nothing would go into pods as it is written.
    private static func checkPlaceholders(
        of template: SidecarTemplate, _ root: PolicyNode
    ) throws(Refusal) {
        let known = Dictionary(
            uniqueKeysWithValues: template.annotations.map { ($0.name, $0.fallback) })
        for value in [template.container] + template.volumes {
            if let unknown = Placeholders.unknown(in: value, known) {
                throw root.refusal(
                    "template.placeholder.unknown",
                    expected: "one of " + known.keys.sorted().joined(separator: ", "),
                    got: unknown)
            }
        }
    }
}
