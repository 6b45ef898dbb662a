internal import Keys
internal import Loop
internal import RATS
internal import Receipts

/// What a provider offers, as the file of `ratel serve --offers` says it.
struct OffersFile: Sendable, Equatable {
    /// One model and its terms.
    struct Model: Sendable, Equatable {
        var offer: Offer
        /// Seconds that each version of the offer is valid.
        var lifetime: Int64
        /// Tokens of a prompt and its answer together, and the parameters that requests may have:
        /// told beside the offers, and signed by nobody.
        var context: Int64
        var parameters: [String]
    }

    /// What is done with `cache_salt`, which parts the caches of callers.
    enum CacheSalt: String, Sendable, CaseIterable {
        /// Each caller's own, made here; a caller's is replaced.
        case inject
        /// None: for engines that refuse the name.
        case strip
    }

    var models: [Model]
    /// Where the engine tells how many requests wait, and from how many on new ones are refused;
    /// nil where it does not.
    var queue: Queue?
    var cacheSalt: CacheSalt

    struct Queue: Sendable, Equatable {
        var path: String
        var most: Int
    }

    /// Bytes of a file, and models in it: each some hundred bytes.
    private static let maxSize = 256 << 10
    private static let maxModels = 256

    /// Reads the file at `path`. Errors: `offers.*` with place and line.
    static func load(_ path: String) throws(Refusal) -> OffersFile {
        guard let bytes = System.readFile(path, limit: maxSize) else {
            throw Refusal(
                "offers.file.unreadable", .configuration, field: path,
                expected: "a file of at most \(maxSize) bytes", got: "none that can be read",
                remedy: "check the path and its permissions")
        }
        return try OffersFile(try PolicyNode.read(bytes, as: .offers, maxSize: maxSize))
    }

    private init(_ root: PolicyNode) throws(Refusal) {
        let fields = try root.fields(
            required: ["version", "models"], optional: ["queue", "cache_salt"])
        _ = try fields["version"]?.integer(1...1)
        models =
            try fields["models"]?.list(
                atMost: OffersFile.maxModels, name: \.offer.model.id,
                each: "one offer for each model", OffersFile.model) ?? []
        guard !models.isEmpty else {
            throw root.refusal("offers.value.refused", expected: "a model", got: "none")
        }
        queue = try fields["queue"].map { node throws(Refusal) in
            let fields = try node.fields(required: ["metrics"], optional: ["most"])
            return Queue(
                path: try fields["metrics"]?.text() ?? "",
                most: Int(try fields["most"]?.integer(0...1_000_000) ?? 0))
        }
        cacheSalt = try fields["cache_salt"]?.word(CacheSalt.self) ?? .inject
    }

    private static func model(_ node: PolicyNode) throws(Refusal) -> Model {
        let fields = try node.fields(
            required: ["id", "weights", "price", "capacity", "context", "region", "retention"],
            optional: [
                "offer", "quantization", "billing", "settlement", "cancel_policy", "lifetime",
                "parameters",
            ])
        guard let id = fields["id"], let weights = fields["weights"], let price = fields["price"],
            let capacity = fields["capacity"]
        else { throw node.wrongType("an offer") }
        let name = try text(id)
        let lifetime = Int64(try fields["lifetime"]?.seconds() ?? 600)
        guard (10...Offer.maxLifetime).contains(lifetime) else {
            throw node.refusal(
                "offers.value.refused", expected: "a lifetime of 10s to \(Offer.maxLifetime)s",
                got: "\(lifetime)s")
        }
        let room = try capacity.fields(required: ["tpm", "streams"])
        let offer = Offer(
            id: try fields["offer"].map(text) ?? name, sequence: 0, keyset: [], measurement: [],
            model: Offer.Model(
                id: name, weights: try digest(weights),
                quantization: try fields["quantization"].map(text) ?? "none"),
            price: try self.price(price),
            billing: try fields["billing"]?.word(Offer.Billing.self) ?? .postpaid,
            settlement: try fields["settlement"].map(text) ?? "invoice",
            cancelPolicy: try fields["cancel_policy"]?.word(Offer.CancelPolicy.self) ?? .counted,
            tokensPerMinute: try number(room["tpm"]), streams: try number(room["streams"]),
            region: try fields["region"].map(text) ?? "",
            retention: try fields["retention"].map(text) ?? "", notBefore: 0, notAfter: 0)
        return Model(
            offer: offer, lifetime: lifetime, context: try number(fields["context"]),
            parameters: try fields["parameters"]?.texts(text) ?? [])
    }

    private static func price(_ node: PolicyNode) throws(Refusal) -> Price {
        let fields = try node.fields(
            required: ["in", "out"], optional: ["cache_read", "min_charge"])
        let input = try amount(fields["in"])
        return Price(
            input: input, cached: try fields["cache_read"].map(amount) ?? input,
            output: try amount(fields["out"]), minimum: try fields["min_charge"].map(amount) ?? 0)
    }

    /// The weights' SHA-256, or that of a file that holds them.
    private static func digest(_ node: PolicyNode) throws(Refusal) -> [UInt8] {
        let text = try node.text()
        guard text.hasPrefix("file:") else { return try node.bytes([32]) }
        // The largest file that is hashed here: a manifest of the weights, or a small model.
        let limit = 1 << 30
        guard let bytes = System.readFile(String(text.dropFirst(5)), limit: limit) else {
            throw node.refusal(
                "offers.weights.unreadable", expected: "a file of at most 1 GiB", got: text,
                remedy: "name a manifest of the weights, or write their SHA-256")
        }
        return Digest.sha256(bytes)
    }

    private static func amount(_ node: PolicyNode?) throws(Refusal) -> Int64 {
        Int64(try node?.integer(0...UInt64(Price.max)) ?? 0)
    }

    private static func number(_ node: PolicyNode?) throws(Refusal) -> Int64 {
        Int64(try node?.integer(0...UInt64(CanonicalJSON.maxNumber)) ?? 0)
    }

    private static func text(_ node: PolicyNode) throws(Refusal) -> String {
        let text = try node.text()
        // As statements have it.
        guard (1...256).contains(text.utf8.count) else {
            throw node.refusal(
                "offers.value.refused", expected: "text of 1 to 256 bytes",
                got: "\(text.utf8.count)")
        }
        return text
    }
}
