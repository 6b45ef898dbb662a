internal import Keys
internal import Ledger
internal import Loop
internal import RATS
internal import Receipts

/// What `ratel route` is told by its file: who provides, who may ask, and on what terms.
struct RouterFile: Sendable, Equatable {
    /// Where one provider, or several under one name, is found.
    enum Place: Sendable, Equatable {
        case address(Address)
        /// Each address of a name is a provider of its own.
        case dns(host: String, port: UInt16)
        /// So is each endpoint of a service of Kubernetes that is ready.
        case endpointSlices(EndpointSlices.Service)
    }

    /// A provider and what its Evidence must show.
    struct Provider: Sendable, Equatable {
        /// What callers name it by.
        let name: String
        let place: Place
        /// The file of the policy.
        let policy: String
    }

    /// Who may ask, by the digest of a key that only the caller has.
    struct Key: Sendable, Equatable {
        let name: String
        /// SHA-256 of the key's text.
        let digest: [UInt8]
        let terms: Ledger.Terms
        /// Nano-dollars paid in advance, by reference.
        let credits: [Credit]
    }

    struct Credit: Sendable, Equatable {
        let reference: String
        let amount: Int64
    }

    /// What a listing says of a model beside its offers.
    struct Listing: Sendable, Equatable {
        let id: String
        let name: String?
        let huggingFace: String?
        let created: Int64
        let input: [String]
        let output: [String]
        let features: [String]
    }

    let providers: [Provider]
    let keys: [Key]
    let listings: [Listing]

    /// Bytes of a file; providers and keys in it.
    private static let maxSize = 4 << 20
    private static let maxProviders = 512
    private static let maxKeys = 16_384

    /// Reads the file at `path`; paths inside are relative to its folder. Errors: `router.*` with
    /// place and line.
    static func load(_ path: String) throws(Refusal) -> RouterFile {
        guard let bytes = System.readFile(path, limit: maxSize) else {
            throw Refusal(
                "router.file.unreadable", .configuration, field: path,
                expected: "a file of at most \(maxSize) bytes", got: "none that can be read",
                remedy: "check the path and its permissions")
        }
        return try RouterFile(
            try PolicyNode.read(bytes, as: .router, maxSize: maxSize), NamedFiles(besideFile: path))
    }

    private init(_ root: PolicyNode, _ files: NamedFiles) throws(Refusal) {
        let fields = try root.fields(
            required: ["version", "providers", "keys"], optional: ["models"])
        _ = try fields["version"]?.integer(1...1)
        providers =
            try fields["providers"]?.list(atMost: RouterFile.maxProviders, name: \.name) {
                node throws(Refusal) in try Provider(node, files)
            } ?? []
        keys =
            try fields["keys"]?.list(atMost: RouterFile.maxKeys, name: \.name) {
                node throws(Refusal) in try Key(node)
            } ?? []
        listings =
            try fields["models"]?.list(atMost: RouterFile.maxProviders, name: \.id) {
                node throws(Refusal) in try Listing(node)
            } ?? []
        guard Set(keys.map(\.digest)).count == keys.count else {
            throw root.refusal(
                "router.value.duplicate", expected: "each key once", got: "one twice")
        }
    }

    /// Whether any provider is found by its EndpointSlices.
    var asksKubernetes: Bool {
        providers.contains { if case .endpointSlices = $0.place { true } else { false } }
    }
}

extension RouterFile.Provider {
    fileprivate init(_ node: PolicyNode, _ files: NamedFiles) throws(Refusal) {
        let fields = try node.fields(
            required: ["name", "policy"], optional: ["address", "dns", "endpoint_slices"])
        guard let name = fields["name"], let policy = fields["policy"] else {
            throw node.wrongType("a provider")
        }
        self.name = try name.name()
        self.policy = try files.resolve(policy)
        switch (fields["address"], fields["dns"], fields["endpoint_slices"]) {
        case (let address?, nil, nil): place = .address(try address.address())
        case (nil, let dns?, nil):
            guard case .ip(let host, let port) = try dns.address() else {
                throw dns.refusal(
                    node.code("value.refused"), expected: "NAME:PORT", got: "a path")
            }
            place = .dns(host: host, port: port)
        case (nil, nil, let slices?):
            place = .endpointSlices(try EndpointSlices.Service(slices))
        default:
            throw node.refusal(
                node.code("key.missing"), expected: "one of address, dns and endpoint_slices",
                got: "several, or none")
        }
    }
}

extension EndpointSlices.Service {
    fileprivate init(_ node: PolicyNode) throws(Refusal) {
        let fields = try node.fields(required: ["namespace", "service", "port"])
        func label(_ name: String) throws(Refusal) -> String {
            guard let field = fields[name] else { throw node.wrongType("a service") }
            let text = try field.text()
            // Both go into a path, where other characters would mean something else.
            guard KubernetesName.isLabel(text) else {
                throw field.refusal(
                    field.code("value.refused"),
                    expected: "1 to 63 lower-case letters, digits and inner hyphens", got: text)
            }
            return text
        }
        namespace = try label("namespace")
        name = try label("service")
        let port = try label("port")
        self.port = UInt16(port).map { .number($0) } ?? .name(port)
        if port.utf8.allSatisfy({ (0x30...0x39).contains($0) }), UInt16(port) ?? 0 == 0 {
            throw node.refusal(
                node.code("value.refused"), expected: "a port from 1 to 65535, or its name",
                got: port)
        }
    }
}

extension RouterFile.Key {
    fileprivate init(_ node: PolicyNode) throws(Refusal) {
        let fields = try node.fields(
            required: ["name", "sha256", "billing"], optional: ["budget", "period", "credits"])
        name = try fields["name"]?.name() ?? ""
        digest = try fields["sha256"]?.bytes([32]) ?? []
        let billing = try fields["billing"]?.word(Offer.Billing.self) ?? .postpaid
        let budget = try fields["budget"].map { node throws(Refusal) in
            Int64(try node.integer(0...UInt64(CanonicalJSON.maxNumber)))
        }
        switch billing {
        case .prepaid:
            guard budget == nil, fields["period"] == nil else {
                throw node.refusal(
                    node.code("value.refused"), expected: "no budget for who pays in advance",
                    got: "one", remedy: "write credits")
            }
            terms = .prepaid
        case .postpaid:
            terms = .postpaid(
                budget: budget,
                period: try fields["period"]?.word(Ledger.Terms.Period.self) ?? .month)
        }
        var credits: [RouterFile.Credit] = []
        for item in try fields["credits"]?.items() ?? [] {
            let inner = try item.fields(required: ["reference", "amount"])
            credits.append(
                RouterFile.Credit(
                    reference: try inner["reference"]?.name() ?? "",
                    amount: Int64(
                        try inner["amount"]?.integer(1...UInt64(CanonicalJSON.maxNumber)) ?? 0)))
        }
        self.credits = credits
    }
}

extension RouterFile.Listing {
    fileprivate init(_ node: PolicyNode) throws(Refusal) {
        let fields = try node.fields(
            required: ["id"],
            optional: [
                "name", "hugging_face_id", "created", "input_modalities", "output_modalities",
                "supported_features",
            ])
        func texts(_ name: String, _ usual: [String]) throws(Refusal) -> [String] {
            try fields[name]?.texts { node throws(Refusal) in try node.text() } ?? usual
        }
        id = try fields["id"]?.text() ?? ""
        name = try fields["name"]?.text()
        huggingFace = try fields["hugging_face_id"]?.text()
        created = Int64(try fields["created"]?.integer(0...UInt64(CanonicalJSON.maxNumber)) ?? 0)
        input = try texts("input_modalities", ["text"])
        output = try texts("output_modalities", ["text"])
        features = try texts("supported_features", [])
    }
}
