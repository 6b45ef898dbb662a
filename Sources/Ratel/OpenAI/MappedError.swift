internal import Keys
internal import Streams

/// An engine's error, in the form that the router's callers know: always an object with a text as
/// its `code`.
struct MappedError {
    let bytes: [UInt8]

    /// Longer messages are no messages.
    private static let maxMessage = 2_048

    init(_ body: [UInt8], status: Int) {
        let parsed = JSONParser.parse(body)
        let inner = parsed?["error"] ?? parsed
        var message = inner?["message"]?.text ?? "the provider refused the request"
        if message.utf8.count > MappedError.maxMessage { message = "the provider's reason is long" }
        let type = inner?["type"]?.text ?? "invalid_request_error"
        var code = inner?["code"]?.text ?? "invalid_request"
        // Engines say this in words alone.
        let words = message.lowercased()
        if status == 400,
            words.contains("maximum context length") || words.contains("max_model_len")
                || words.contains("context size")
                || words.contains("exceeds the available context")
                || words.contains("maximum model length")
        {
            code = "context_length_exceeded"
        }
        if status == 413 { code = "request_too_large" }
        let error = JSONValue.members([
            ("message", .string(message)), ("type", .string(type)),
            ("param", inner?["param"].flatMap { $0.text }.map { .string($0) } ?? .null),
            ("code", .string(code)),
        ])
        bytes = Array(JSONValue.members([("error", error)]).serialised().utf8)
    }
}

/// What tells a caller in the middle of a stream that it ends for another reason than its end.
struct ErrorEvent {
    let bytes: [UInt8]

    init(_ failure: Failure, of path: InferencePath, id: String) {
        let error = JSONValue.members([
            ("message", .string(failure.message)), ("type", .string("ratel_error")),
            ("param", .null), ("code", .string(failure.code)),
        ])
        switch path {
        case .chat, .completions, .embeddings:
            let choice = JSONValue.members([
                ("index", .integer(0)), ("delta", .members([("content", .string(""))])),
                ("finish_reason", .string("error")),
            ])
            let value = JSONValue.members([
                ("id", .string(id)), ("object", .string("chat.completion.chunk")),
                ("choices", .array([choice])), ("error", error),
            ])
            bytes = Array("data: \(value.serialised())\n\n".utf8)
        case .responses:
            let value = JSONValue.members([
                ("type", .string("error")), ("code", .string(failure.code)),
                ("message", .string(failure.message)), ("param", .null),
                ("sequence_number", .integer(0)),
            ])
            bytes = Array("event: error\ndata: \(value.serialised())\n\n".utf8)
        case .messages:
            let value = JSONValue.members([("type", .string("error")), ("error", error)])
            bytes = Array("event: error\ndata: \(value.serialised())\n\n".utf8)
        }
    }
}
