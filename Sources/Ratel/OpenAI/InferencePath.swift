/// The requests that engines answer with tokens, and how each API counts and ends.
package enum InferencePath: String, Sendable, CaseIterable {
    case chat = "/v1/chat/completions"
    case completions = "/v1/completions"
    case embeddings = "/v1/embeddings"
    case responses = "/v1/responses"
    case messages = "/v1/messages"

    /// Whether a stream tells its counts only to who asks (`stream_options`).
    var asksForUsage: Bool { self == .chat || self == .completions }

    /// The members that hold the prompt.
    package var prompts: [String] {
        switch self {
        case .chat: ["messages", "tools"]
        case .messages: ["system", "messages", "tools"]
        case .completions: ["prompt"]
        case .embeddings: ["input"]
        case .responses: ["instructions", "input", "tools"]
        }
    }

    /// The members that bound an answer's tokens, the first that is there counts.
    package var outputLimits: [String] {
        switch self {
        case .chat: ["max_completion_tokens", "max_tokens"]
        case .completions, .messages: ["max_tokens"]
        case .responses: ["max_output_tokens"]
        case .embeddings: []
        }
    }
}
