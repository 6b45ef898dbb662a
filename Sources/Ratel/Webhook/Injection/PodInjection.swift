internal import Keys
internal import RATS

/// Adds the sidecar to one pod: a pure function from a pod to the operations of a JSON Patch
/// (RFC 6902).
struct PodInjection {
    /// The label that asks for it; only `true` does.
    static let label = "ratel.dev/inject"
    /// Set on pods that were injected, to the template's digest.
    static let mark = "ratel.dev/injected"
    /// What templates cannot name an annotation.
    static let reserved = ["inject", "injected"]
    private static let prefix = "ratel.dev/"

    /// What becomes of a pod.
    struct Outcome {
        /// Operations of a JSON Patch; none where the pod stays as it is.
        var operations: [JSONValue] = []
        /// What `kubectl` shows a person.
        var warnings: [String] = []
    }

    let template: SidecarTemplate
    private let pod: JSONValue
    private var outcome = Outcome()

    /// What becomes of `pod`, as the API server sends it, with its defaults filled in.
    static func inject(
        _ template: SidecarTemplate, into pod: JSONValue
    ) throws(Refusal) -> Outcome {
        var injection = PodInjection(template: template, pod: pod)
        try injection.run()
        return injection.outcome
    }

    private init(template: SidecarTemplate, pod: JSONValue) {
        self.template = template
        self.pod = pod
    }

    private mutating func run() throws(Refusal) {
        guard pod["metadata"]?["labels"]?[PodInjection.label]?.text == "true" else { return }
        if hasSidecar { return noteSidecar() }
        let values = try values()
        try checkNetwork()
        try checkPorts(values)
        let volumes = template.volumes.map { Placeholders.replaced(in: $0, values) }
        try checkNames(of: volumes)
        addContainer(Placeholders.replaced(in: template.container, values))
        for volume in volumes { add(volume, to: "volumes") }
        addHooks()
        raiseGracePeriod()
        addMark()
        warn(port: values["backend-port"])
    }

    // MARK: What is there

    private var spec: JSONValue? { pod["spec"] }
    private var containers: [JSONValue] { spec?["containers"]?.items ?? [] }
    private var annotations: [JSONValue.Member] { pod["metadata"]?["annotations"]?.members ?? [] }

    private var hasSidecar: Bool {
        (containers + (spec?["initContainers"]?.items ?? [])).contains {
            $0["name"]?.text == template.containerName
        }
    }

    // The API server asks again after other webhooks, and owners copy pods.
    private mutating func noteSidecar() {
        guard !annotations.contains(where: { $0.name == PodInjection.mark }) else { return }
        outcome.warnings.append(
            "ratel: the pod has a container \(template.containerName) of its own; it was left as "
                + "it is")
    }

    /// The value of each placeholder: the pod's annotation, or the template's default.
    private func values() throws(Refusal) -> [String: String] {
        var values = Dictionary(
            uniqueKeysWithValues: template.annotations.map { ($0.name, $0.fallback) })
        for annotation in annotations where annotation.name.hasPrefix(PodInjection.prefix) {
            let name = String(annotation.name.dropFirst(PodInjection.prefix.count))
            if annotation.name == PodInjection.mark { continue }
            guard let known = template.annotations.first(where: { $0.name == name }) else {
                throw refusal(
                    "webhook.annotation.unknown", "annotation \(annotation.name)",
                    template.annotations.map { PodInjection.prefix + $0.name }
                        .joined(separator: ", "),
                    annotation.name, "correct its name or take it away")
            }
            guard let value = annotation.value.text, known.kind.allows(value) else {
                throw refusal(
                    "webhook.annotation.value", "annotation \(annotation.name)",
                    known.kind.expected, annotation.value.text ?? annotation.value.serialised(),
                    "correct its value")
            }
            values[name] = value
        }
        return values
    }

    // On the node's network the backend's loopback is everybody's on that node.
    private func checkNetwork() throws(Refusal) {
        guard spec?["hostNetwork"] == .bool(true) else { return }
        throw refusal(
            "webhook.pod.host_network", "spec.hostNetwork",
            "a network of the pod's own, on whose loopback only the pod reaches the backend",
            "the node's", "take hostNetwork away")
    }

    // The containers of a pod share one network. A backend port that is the sidecar's own would
    // have callers reach its admin port, which drains it; a container that listens in the
    // sidecar's place would be reached without attestation.
    private func checkPorts(_ values: [String: String]) throws(Refusal) {
        let ports = template.container["ports"]?.items ?? []
        let own = ports.compactMap { $0["containerPort"]?.integer }
        for annotation in template.annotations where annotation.kind == .port {
            guard let port = values[annotation.name].flatMap({ Int($0) }), own.contains(port)
            else { continue }
            throw refusal(
                "webhook.annotation.port", "annotation \(PodInjection.prefix)\(annotation.name)",
                "a port other than the sidecar's own", "\(port)",
                "have the backend listen at another port, and name that")
        }
        for container in containers + (spec?["initContainers"]?.items ?? []) {
            let declared = (container["ports"]?.items ?? []).compactMap {
                $0["containerPort"]?.integer
            }
            guard let port = declared.first(where: own.contains) else { continue }
            throw refusal(
                "webhook.pod.port", "ports of container \(container["name"]?.text ?? "?")",
                "ports other than the sidecar's own", "\(port)",
                "have the container listen at another port")
        }
    }

    private func checkNames(of volumes: [JSONValue]) throws(Refusal) {
        let present = (spec?["volumes"]?.items ?? []).compactMap { $0["name"]?.text }
        for name in volumes.compactMap({ $0["name"]?.text }) where present.contains(name) {
            throw refusal(
                "webhook.pod.volume", "spec.volumes", "no volume called \(name)",
                "one of the pod's own", "rename it")
        }
    }

    // MARK: What is added

    private mutating func addContainer(_ container: JSONValue) {
        guard template.isNative else { return add(container, to: "containers") }
        var members = container.members ?? []
        members.removeAll { $0.name == "restartPolicy" }
        members.append(JSONValue.Member("restartPolicy", .string("Always")))
        // The last, so that it starts when the pod's own preparations are done.
        add(.object(members), to: "initContainers")
    }

    private mutating func add(_ item: JSONValue, to list: String) {
        let isPresent = spec?[list]?.items != nil || hasAdded(to: list)
        operate(
            "add", isPresent ? "/spec/\(list)/-" : "/spec/\(list)",
            isPresent ? item : .array([item]))
    }

    private func hasAdded(to list: String) -> Bool {
        outcome.operations.contains { $0["path"]?.text == "/spec/\(list)" }
    }

    private mutating func addHooks() {
        guard let hook = template.backendPreStop else { return }
        for (index, container) in containers.enumerated() {
            let lifecycle = container["lifecycle"]
            guard lifecycle?["preStop"]?.members == nil else { continue }
            let path = "/spec/containers/\(index)/lifecycle"
            if lifecycle?.members == nil {
                operate("add", path, .members([("preStop", hook)]))
            } else {
                operate("add", path + "/preStop", hook)
            }
        }
    }

    private mutating func raiseGracePeriod() {
        let present = spec?["terminationGracePeriodSeconds"]?.integer
        // 30 is what the API server fills in.
        guard (present ?? 30) < template.minimumGracePeriod else { return }
        operate(
            "add", "/spec/terminationGracePeriodSeconds", .integer(template.minimumGracePeriod))
    }

    private mutating func addMark() {
        let value = JSONValue.string(Hex.encode(template.digest))
        if pod["metadata"]?["annotations"]?.members == nil {
            operate("add", "/metadata/annotations", .members([(PodInjection.mark, value)]))
        } else {
            // RFC 6901 section 3: `/` is written `~1`.
            operate("add", "/metadata/annotations/ratel.dev~1injected", value)
        }
    }

    private mutating func operate(_ operation: String, _ path: String, _ value: JSONValue) {
        outcome.operations.append(
            .members([("op", .string(operation)), ("path", .string(path)), ("value", value)]))
    }

    // MARK: What a person should know

    private mutating func warn(port: String?) {
        warnOfAddress()
        warnOfProbes(at: port)
    }

    /// Engines listen at every address unless they are told otherwise, and then callers get past
    /// the sidecar.
    private mutating func warnOfAddress() {
        let words = containers.flatMap { container in
            ["command", "args"].flatMap { container[$0]?.items ?? [] }.compactMap(\.text)
                + (container["env"]?.items ?? []).compactMap { $0["value"]?.text }
        }
        let loopback = ["127.0.0.1", "localhost", "::1"]
        guard !words.contains(where: { word in loopback.contains { word.contains($0) } }) else {
            return
        }
        outcome.warnings.append(
            "ratel: no argument of the pod says that its backend listens on 127.0.0.1; if it "
                + "listens elsewhere, it is reached without attestation: tell it, or write a "
                + "NetworkPolicy")
    }

    /// Probes come from the node to the pod's address, where the backend should not listen.
    private mutating func warnOfProbes(at port: String?) {
        for container in containers {
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                for way in ["httpGet", "tcpSocket"] {
                    guard let port, let asked = container[probe]?[way]?["port"],
                        asked.text == port || asked.serialised() == port
                    else { continue }
                    let name = container["name"]?.text ?? "?"
                    outcome.warnings.append(
                        "ratel: the \(probe) of \(name) asks port \(port) at the pod's address; "
                            + "a backend that listens on 127.0.0.1 alone does not answer there")
                }
            }
        }
    }

    private func refusal(
        _ code: String, _ field: String, _ expected: String, _ got: String, _ remedy: String
    ) -> Refusal {
        Refusal(
            code, .configuration, field: field, expected: expected, got: got, remedy: remedy)
    }
}
