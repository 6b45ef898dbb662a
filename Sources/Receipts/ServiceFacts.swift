public import Keys
public import RATS

/// How an answer ended.
public enum ServiceEnd: String, Sendable, CaseIterable {
    /// It is whole.
    case complete
    /// The caller gave it up.
    case cancelled
    /// It broke off.
    case error
}

/// What a provider says of one request that it served, signed beside the engine: no prompt and no
/// answer, but their hashes (routing.md, "Receipt").
public struct ServiceFacts: Sendable, Equatable {
    /// The request's, chosen by the router and told to the provider.
    public var receipt: String
    /// SHA-256 of the key of the router that asked; zeros for a caller that is none.
    public var router: [UInt8]
    /// Rises by one with each request of this router to this provider since its key was made, from
    /// 1 on: a gap is a request whose facts are kept back.
    public var sequence: Int64
    /// The digest of the statement before; zeros for the first.
    public var previous: [UInt8]
    /// The digest of the offer that the request was served under.
    public var offer: [UInt8]
    public var model: String
    public var weights: [UInt8]
    /// SHA-256 of the request's body as it came.
    public var request: [UInt8]
    /// SHA-256 of the answer's body as it went.
    public var response: [UInt8]
    /// The head of the answer's chain, and how many events it covers.
    public var chainHead: [UInt8]
    public var events: Int64
    public var usage: Usage
    public var end: ServiceEnd
    /// Milliseconds since 1970: the request's head, the first byte of its answer or 0, its end.
    public var started: Int64
    public var first: Int64
    public var ended: Int64

    /// Describes one; `SignedStatement` signs its `json`.
    public init(
        receipt: String, router: [UInt8], sequence: Int64, previous: [UInt8], offer: [UInt8],
        model: String,
        weights: [UInt8], request: [UInt8], response: [UInt8], chainHead: [UInt8], events: Int64,
        usage: Usage, end: ServiceEnd, started: Int64, first: Int64, ended: Int64
    ) {
        self.receipt = receipt
        self.router = router
        self.sequence = sequence
        self.previous = previous
        self.offer = offer
        self.model = model
        self.weights = weights
        self.request = request
        self.response = response
        self.chainHead = chainHead
        self.events = events
        self.usage = usage
        self.end = end
        self.started = started
        self.first = first
        self.ended = ended
    }

    /// What is signed.
    public var json: JSONValue {
        .members([
            ("receipt_id", .string(receipt)), ("router", .string(Hex.encode(router))),
            ("seq", .integer(sequence)),
            ("prev", .string(Hex.encode(previous))), ("offer_hash", .string(Hex.encode(offer))),
            ("model", .string(model)), ("weights_digest", .string(Hex.encode(weights))),
            ("request_hash", .string(Hex.encode(request))),
            ("response_hash", .string(Hex.encode(response))),
            ("stream_chain_head", .string(Hex.encode(chainHead))), ("events", .integer(events)),
            ("usage", usage.json), ("end", .string(end.rawValue)),
            ("started_ms", .integer(started)), ("first_ms", .integer(first)),
            ("ended_ms", .integer(ended)),
        ])
    }
}

extension ServiceFacts {
    /// Reads what was signed. Errors: `receipt.malformed`, `receipt.usage.impossible`.
    public init(_ statement: SignedStatement) throws(Refusal) {
        let fields = try StatementFields(
            statement.kind == .service ? statement.body : nil, at: "service",
            [
                "receipt_id", "router", "seq", "prev", "offer_hash", "model", "weights_digest",
                "request_hash", "response_hash", "stream_chain_head", "events", "usage", "end",
                "started_ms", "first_ms", "ended_ms",
            ])
        self.init(
            receipt: try fields.text("receipt_id"), router: try fields.digest("router"),
            sequence: try fields.number("seq", 1...Int64(CanonicalJSON.maxNumber)),
            previous: try fields.digest("prev"), offer: try fields.digest("offer_hash"),
            model: try fields.text("model"), weights: try fields.digest("weights_digest"),
            request: try fields.digest("request_hash"),
            response: try fields.digest("response_hash"),
            chainHead: try fields.digest("stream_chain_head"),
            events: try fields.number("events"),
            usage: try Usage(fields.value("usage"), at: "service.usage"),
            end: try fields.word("end", ServiceEnd.self),
            started: try fields.number("started_ms"), first: try fields.number("first_ms"),
            ended: try fields.number("ended_ms"))
    }
}

extension Usage {
    var json: JSONValue {
        .members([
            ("in", .integer(input)), ("cached", .integer(cached)), ("out", .integer(output)),
            ("reasoning", .integer(reasoning)),
        ])
    }

    init(_ value: JSONValue?, at place: String) throws(Refusal) {
        let fields = try StatementFields(value, at: place, ["in", "cached", "out", "reasoning"])
        self.init(
            input: try fields.number("in", 0...Usage.max),
            cached: try fields.number("cached", 0...Usage.max),
            output: try fields.number("out", 0...Usage.max),
            reasoning: try fields.number("reasoning", 0...Usage.max))
        guard isPossible else {
            throw Refusal(
                "receipt.usage.impossible", .evidence, field: place,
                expected: "cached within in, and reasoning within out",
                got: "\(cached) of \(input), \(reasoning) of \(output)",
                remedy: "do not pay for it: no engine counts so")
        }
    }
}
