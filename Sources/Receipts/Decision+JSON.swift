public import Keys
public import RATS

extension Decision {
    /// What is exported: `{"request": …, "candidates": […]}`.
    public var json: JSONValue {
        .members([
            ("request", request.json), ("candidates", .array(candidates.map(\.json))),
        ])
    }

    /// Reads a decision as it is exported. Errors: `receipt.malformed`.
    public init(
        request: JSONValue?, candidates value: JSONValue?, at place: String
    ) throws(Refusal) {
        guard let items = value?.items, items.count <= Decision.maxCandidates else {
            throw StatementFields.refusal(
                "\(place).candidates", "a list of at most \(Decision.maxCandidates)", "another")
        }
        var candidates: [Candidate] = []
        for (index, item) in items.enumerated() {
            let candidate = try Candidate(item, at: "\(place).candidates[\(index)]")
            if let last = candidates.last,
                !last.offer.lexicographicallyPrecedes(candidate.offer)
            {
                throw StatementFields.refusal(
                    "\(place).candidates[\(index)]",
                    "offers in the order of their digests, each once",
                    Hex.encode(candidate.offer))
            }
            candidates.append(candidate)
        }
        self.init(try Request(request, at: "\(place).request"), candidates)
    }
}

extension Decision.Candidate {
    var json: JSONValue {
        .members([
            ("offer_hash", .string(Hex.encode(offer))), ("weight", .integer(weight)),
            ("reason", .string(reason)), ("measures", measures?.json ?? .null),
        ])
    }

    fileprivate init(_ value: JSONValue, at place: String) throws(Refusal) {
        let fields = try StatementFields(
            value, at: place, ["offer_hash", "weight", "reason", "measures"])
        let measures = fields.value("measures") ?? .null
        self.init(
            offer: try fields.digest("offer_hash"),
            weight: UInt64(try fields.number("weight", 0...Int64(Decision.maxWeight))),
            reason: try fields.text("reason"),
            measures: measures == .null
                ? nil : try Decision.Measures(measures, at: "\(place).measures"))
    }
}

extension Decision.Measures {
    var json: JSONValue {
        .members([
            ("cost_nusd", .integer(cost)), ("first_us", .integer(first)),
            ("gap_us", .integer(gap)), ("success", .integer(success)),
            ("inflation", .integer(inflation)), ("disagreement", .integer(disagreement)),
            ("facts", .integer(facts)), ("position", .integer(position)),
        ])
    }

    fileprivate init(_ value: JSONValue, at place: String) throws(Refusal) {
        let fields = try StatementFields(
            value, at: place,
            [
                "cost_nusd", "first_us", "gap_us", "success", "inflation", "disagreement",
                "facts", "position",
            ])
        let unit = Decision.Measures.unit
        self.init(
            cost: try fields.number("cost_nusd"), first: try fields.number("first_us"),
            gap: try fields.number("gap_us"), success: try fields.number("success", 0...unit),
            inflation: try fields.number("inflation", unit...unit * Decision.Measures.maxFactor),
            disagreement: try fields.number("disagreement", 0...unit),
            facts: try fields.number("facts"), position: try fields.number("position"))
    }
}

extension Decision.Request {
    var json: JSONValue {
        .members([
            ("by", .string(order.rawValue)),
            (
                "expected",
                .members([
                    ("in", .integer(expected.input)), ("cached", .integer(expected.cached)),
                    ("out", .integer(expected.output)),
                ])
            ),
            ("first_us", .integer(first)), ("gap_us", .integer(gap)),
        ])
    }

    fileprivate init(_ value: JSONValue?, at place: String) throws(Refusal) {
        let fields = try StatementFields(
            value, at: place, ["by", "expected", "first_us", "gap_us"])
        let counts = try StatementFields(
            fields.value("expected"), at: "\(place).expected", ["in", "cached", "out"])
        self.init(
            order: try fields.word("by", Decision.Order.self),
            expected: Usage(
                input: try counts.number("in", 0...Usage.max),
                cached: try counts.number("cached", 0...Usage.max),
                output: try counts.number("out", 0...Usage.max), reasoning: 0),
            first: try fields.number("first_us"), gap: try fields.number("gap_us"))
        guard expected.isPossible else {
            throw StatementFields.refusal(
                "\(place).expected", "cached within in", "\(expected.cached)")
        }
    }
}
