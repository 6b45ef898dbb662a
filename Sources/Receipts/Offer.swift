public import Keys
public import RATS

/// What a provider serves and at which terms, signed by a key that its Evidence vouches for
/// (routing.md, "The market").
public struct Offer: Sendable, Equatable {
    /// The model as callers name it, and what stands behind the name.
    public struct Model: Sendable, Equatable {
        public var id: String
        /// SHA-256 over the weights, as the provider's measured code worked it out.
        public var weights: [UInt8]
        /// For example `fp8` or `none`.
        public var quantization: String

        public init(id: String, weights: [UInt8], quantization: String) {
            self.id = id
            self.weights = weights
            self.quantization = quantization
        }
    }

    /// When money moves.
    public enum Billing: String, Sendable, CaseIterable {
        case postpaid, prepaid
    }

    /// What a request costs that its caller gives up.
    public enum CancelPolicy: String, Sendable, CaseIterable {
        /// The tokens of the last signed count.
        case counted
        /// Nothing.
        case free
    }

    /// Chosen by the provider; the same for each version of the offer.
    public var id: String
    /// Rises with each version.
    public var sequence: Int64
    /// SHA-256 of the SubjectPublicKeyInfo of the key that signs, which the Evidence names.
    public var keyset: [UInt8]
    /// SHA-256 over what the provider was admitted as.
    public var measurement: [UInt8]
    public var model: Model
    public var price: Price
    public var billing: Billing
    /// How the provider wants to be paid: for settlement adapters, which are outside the trusted
    /// base.
    public var settlement: String
    public var cancelPolicy: CancelPolicy
    /// Tokens a minute; 0 withdraws the offer.
    public var tokensPerMinute: Int64
    /// Streams at once; 0 withdraws the offer.
    public var streams: Int64
    public var region: String
    /// What the provider keeps of requests, in its words; `none`.
    public var retention: String
    /// Seconds since 1970, both included.
    public var notBefore: Int64
    public var notAfter: Int64

    /// Describes one; `SignedStatement` signs its `json`.
    public init(
        id: String, sequence: Int64, keyset: [UInt8], measurement: [UInt8], model: Model,
        price: Price, billing: Billing, settlement: String, cancelPolicy: CancelPolicy,
        tokensPerMinute: Int64, streams: Int64, region: String, retention: String, notBefore: Int64,
        notAfter: Int64
    ) {
        self.id = id
        self.sequence = sequence
        self.keyset = keyset
        self.measurement = measurement
        self.model = model
        self.price = price
        self.billing = billing
        self.settlement = settlement
        self.cancelPolicy = cancelPolicy
        self.tokensPerMinute = tokensPerMinute
        self.streams = streams
        self.region = region
        self.retention = retention
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    /// Seconds that an offer may be valid for at most: a price that moved is known within the
    /// hour.
    public static let maxLifetime: Int64 = 3_600

    /// Whether the provider takes requests for it.
    public var isOpen: Bool { tokensPerMinute > 0 && streams > 0 }

    /// What is signed.
    public var json: JSONValue {
        .members([
            ("offer_id", .string(id)), ("seq", .integer(sequence)),
            ("keyset_digest", .string(Hex.encode(keyset))),
            ("measurement", .string(Hex.encode(measurement))),
            (
                "model",
                .members([
                    ("id", .string(model.id)),
                    ("weights_digest", .string(Hex.encode(model.weights))),
                    ("quantization", .string(model.quantization)),
                ])
            ),
            ("price_nusd_per_mtok", price.json), ("min_charge", .integer(price.minimum)),
            (
                "terms",
                .members([
                    ("billing", .string(billing.rawValue)), ("settlement", .string(settlement)),
                    ("cancel_policy", .string(cancelPolicy.rawValue)),
                ])
            ),
            (
                "capacity",
                .members([("tpm", .integer(tokensPerMinute)), ("streams", .integer(streams))])
            ),
            ("region", .string(region)), ("retention", .string(retention)),
            ("not_before", .integer(notBefore)), ("not_after", .integer(notAfter)),
        ])
    }
}

extension Offer {
    /// Reads what was signed. Errors: `receipt.malformed`, `offer.key`, `offer.lifetime`.
    public init(_ statement: SignedStatement) throws(Refusal) {
        let fields = try StatementFields(
            statement.body, at: "offer",
            [
                "offer_id", "seq", "keyset_digest", "measurement", "model",
                "price_nusd_per_mtok", "min_charge", "terms", "capacity", "region", "retention",
                "not_before", "not_after",
            ])
        let model = try StatementFields(
            fields.value("model"), at: "offer.model", ["id", "weights_digest", "quantization"])
        let terms = try StatementFields(
            fields.value("terms"), at: "offer.terms", ["billing", "settlement", "cancel_policy"])
        let capacity = try StatementFields(
            fields.value("capacity"), at: "offer.capacity", ["tpm", "streams"])
        self.init(
            id: try fields.text("offer_id"), sequence: try fields.number("seq"),
            keyset: try fields.digest("keyset_digest"),
            measurement: try fields.digest("measurement"),
            model: Model(
                id: try model.text("id"), weights: try model.digest("weights_digest"),
                quantization: try model.text("quantization")),
            price: try Price(
                fields.value("price_nusd_per_mtok"), at: "offer.price_nusd_per_mtok",
                minimum: try fields.number("min_charge", 0...Price.max)),
            billing: try terms.word("billing", Billing.self),
            settlement: try terms.text("settlement"),
            cancelPolicy: try terms.word("cancel_policy", CancelPolicy.self),
            tokensPerMinute: try capacity.number("tpm"), streams: try capacity.number("streams"),
            region: try fields.text("region"), retention: try fields.text("retention"),
            notBefore: try fields.number("not_before"), notAfter: try fields.number("not_after"))
        try check(statement)
    }

    private func check(_ statement: SignedStatement) throws(Refusal) {
        guard statement.kind == .offer, keyset == Digest.sha256(statement.key) else {
            throw Refusal(
                "offer.key", .evidence, field: "offer.keyset_digest",
                expected:
                    "SHA-256 of the key that signed, \(Hex.encode(Digest.sha256(statement.key)))",
                got: Hex.encode(keyset), remedy: "sign the offer with the key that it names")
        }
        guard notAfter >= notBefore, notAfter - notBefore <= Offer.maxLifetime else {
            throw Refusal(
                "offer.lifetime", .evidence, field: "offer.not_after",
                expected: "at most \(Offer.maxLifetime) s after not_before",
                got: "\(notAfter - notBefore) s", remedy: "renew offers instead of making long ones"
            )
        }
    }
}

extension Price {
    /// The prices of a million tokens, without the minimum.
    var json: JSONValue {
        .members([
            ("in", .integer(input)), ("cache_read", .integer(cached)), ("out", .integer(output)),
        ])
    }

    init(_ value: JSONValue?, at place: String, minimum: Int64) throws(Refusal) {
        let fields = try StatementFields(value, at: place, ["in", "cache_read", "out"])
        self.init(
            input: try fields.number("in", 0...Price.max),
            cached: try fields.number("cache_read", 0...Price.max),
            output: try fields.number("out", 0...Price.max), minimum: minimum)
    }
}
