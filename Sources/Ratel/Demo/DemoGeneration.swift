internal import Keys

/// One answer of the demo backend, token by token, in the shapes of OpenAI's API.
struct DemoGeneration {
    /// The name under which it is listed.
    static let model = "ratel-demo-generator"
    /// Tokens of one answer at most: 512, ten seconds at the usual pace.
    static let maximumTokens = 512
    private static let defaultTokens = 48

    private static let text = """
        I am the demo backend of Ratel: a token generator, not a language model. I counted \
        %d words in your prompt and will now count upwards, so that you can watch every token \
        arrive on its own, from this process through the sidecar, over an attested connection, \
        through the client helper, to your screen:
        """

    private let isChat: Bool
    private let includesUsage: Bool
    private let identifier: String
    private let created: Int64
    private let tokens: [String]
    private let promptTokens: Int
    private var position = 0
    private var isFinished = false

    init(_ request: JSONValue, isChat: Bool, now: Int64) {
        self.isChat = isChat
        created = now
        includesUsage = request["stream_options"]?["include_usage"] == .bool(true)
        identifier =
            (isChat ? "chatcmpl-" : "cmpl-") + Hex.encode(SecureRandom.bytes(12))
        promptTokens = DemoGeneration.words(in: request)
        let asked =
            request["max_completion_tokens"]?.integer ?? request["max_tokens"]?.integer
            ?? DemoGeneration.defaultTokens
        let count = max(1, min(asked, DemoGeneration.maximumTokens))
        var tokens = DemoGeneration.text
            .replacing("%d", with: "\(promptTokens)")
            .split(separator: " ").map { String($0) + " " }
        var number = 1
        while tokens.count < count {
            tokens.append("\(number) ")
            number += 1
        }
        self.tokens = Array(tokens.prefix(count))
    }

    /// The next event of the stream; nil when only the end marker is left.
    mutating func next() -> JSONValue? {
        if position < tokens.count {
            defer { position += 1 }
            return event(token: tokens[position], finish: nil)
        }
        guard !isFinished else { return nil }
        isFinished = true
        return event(token: nil, finish: "length")
    }

    /// The whole answer at once.
    var completion: JSONValue {
        let text = tokens.joined()
        let choice: JSONValue =
            isChat
            ? .members([
                ("index", .integer(0)),
                (
                    "message",
                    .members([("role", .string("assistant")), ("content", .string(text))])
                ),
                ("finish_reason", .string("length")),
            ])
            : .members([
                ("index", .integer(0)), ("text", .string(text)),
                ("finish_reason", .string("length")),
            ])
        return .members(
            envelope(isChat ? "chat.completion" : "text_completion") + [
                ("choices", .array([choice])), ("usage", usage),
            ])
    }

    private func event(token: String?, finish: String?) -> JSONValue {
        let reason: JSONValue = finish.map { .string($0) } ?? .null
        let choice: JSONValue
        if isChat {
            let delta: JSONValue = .members(
                token.map {
                    position == 0
                        ? [("role", .string("assistant")), ("content", .string($0))]
                        : [("content", .string($0))]
                } ?? [])
            choice = .members([
                ("index", .integer(0)), ("delta", delta), ("finish_reason", reason),
            ])
        } else {
            choice = .members([
                ("index", .integer(0)), ("text", .string(token ?? "")), ("finish_reason", reason),
            ])
        }
        var members =
            envelope(isChat ? "chat.completion.chunk" : "text_completion") + [
                ("choices", .array([choice]))
            ]
        if includesUsage, finish != nil { members.append(("usage", usage)) }
        return .members(members)
    }

    private func envelope(_ object: String) -> [(String, JSONValue)] {
        [
            ("id", .string(identifier)), ("object", .string(object)),
            ("created", .integer(created)), ("model", .string(DemoGeneration.model)),
        ]
    }

    private var usage: JSONValue {
        .members([
            ("prompt_tokens", .integer(promptTokens)),
            ("completion_tokens", .integer(tokens.count)),
            ("total_tokens", .integer(promptTokens + tokens.count)),
        ])
    }

    private static func words(in request: JSONValue) -> Int {
        let texts =
            request["messages"]?.items?.compactMap { $0["content"]?.text }
            ?? [request["prompt"]?.text ?? ""]
        return texts.reduce(0) { $0 + $1.split(whereSeparator: \.isWhitespace).count }
    }
}
