internal import Keys
internal import RATS

/// One question of the API server about one object (admission.k8s.io/v1, AdmissionReview).
struct AdmissionReview {
    /// Bytes of a question: etcd holds objects of 1.5 MiB, and as much again is room for the rest.
    static let maxSize = 3 << 20
    private static let version = "admission.k8s.io/v1"

    let uid: String
    /// For logs.
    let namespace: String
    /// The name, or what the name will be made from.
    let name: String
    let pod: JSONValue

    /// Reads a question about a pod that is created. Errors: `webhook.review.malformed`,
    /// `webhook.review.too_large` and `webhook.review.other`, which say what was wrong.
    init(_ bytes: [UInt8]) throws(Refusal) {
        let review = try AdmissionReview.document(bytes)
        guard review["apiVersion"]?.text == AdmissionReview.version,
            review["kind"]?.text == "AdmissionReview", let request = review["request"],
            let uid = request["uid"]?.text, !uid.isEmpty, let pod = request["object"]
        else {
            throw Refusal(
                "webhook.review.malformed", .configuration, field: "body",
                expected: "an AdmissionReview of \(AdmissionReview.version) with a request",
                got: "something else",
                remedy: "have the configuration name `admissionReviewVersions: [v1]`")
        }
        let kind = request["kind"]
        let names = [kind?["group"], kind?["version"], kind?["kind"], request["operation"]]
            .map { $0?.text ?? "?" }
        guard names == ["", "v1", "Pod", "CREATE"] else {
            throw Refusal(
                "webhook.review.other", .configuration, field: "request",
                expected: "pods of v1 that are created", got: names.joined(separator: " "),
                remedy: "correct the rules of the MutatingWebhookConfiguration")
        }
        self.uid = uid
        self.pod = pod
        namespace = request["namespace"]?.text ?? ""
        let metadata = pod["metadata"]
        name = metadata?["name"]?.text ?? metadata?["generateName"]?.text ?? ""
    }

    private static func document(_ bytes: [UInt8]) throws(Refusal) -> JSONValue {
        do throws(JSONParser.Trouble) {
            return try JSONParser.read(bytes)
        } catch {
            throw refusal(of: error)
        }
    }

    private static func refusal(of trouble: JSONParser.Trouble) -> Refusal {
        switch trouble {
        case .malformed:
            Refusal(
                "webhook.review.malformed", .configuration, field: "body",
                expected: "a JSON text (RFC 8259) with no name twice in an object",
                got: "something else", remedy: "have nobody but an API server ask here")
        case .tooDeep: tooLarge("values that nest at most \(JSONParser.maxDepth) deep")
        case .tooManyValues: tooLarge("at most \(JSONParser.maxValues) JSON values")
        }
    }

    private static func tooLarge(_ expected: String) -> Refusal {
        Refusal(
            "webhook.review.too_large", .configuration, field: "body", expected: expected,
            got: "more",
            remedy: "make the pod smaller: have what it lists as environment, arguments and "
                + "annotations come from a ConfigMap; or write the sidecar into it by hand")
    }

    /// The answer that lets the pod in, changed or not.
    func answer(_ outcome: PodInjection.Outcome) -> [UInt8] {
        var members: [(String, JSONValue)] = [("uid", .string(uid)), ("allowed", .bool(true))]
        if !outcome.operations.isEmpty {
            let patch = JSONValue.array(outcome.operations).serialised()
            members.append(("patchType", .string("JSONPatch")))
            members.append(("patch", .string(Base64.encode(Array(patch.utf8)))))
        }
        if !outcome.warnings.isEmpty {
            members.append(("warnings", .array(outcome.warnings.map { .string($0) })))
        }
        return wrapped(members)
    }

    /// The answer that keeps the pod out.
    func answer(_ refusal: Refusal) -> [UInt8] {
        wrapped([
            ("uid", .string(uid)), ("allowed", .bool(false)),
            (
                "status",
                .members([("code", .integer(422)), ("message", .string("\(refusal)"))])
            ),
        ])
    }

    private func wrapped(_ response: [(String, JSONValue)]) -> [UInt8] {
        Array(
            JSONValue.members([
                ("apiVersion", .string(AdmissionReview.version)),
                ("kind", .string("AdmissionReview")), ("response", .members(response)),
            ]).serialised().utf8)
    }
}
