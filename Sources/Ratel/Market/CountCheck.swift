package import Receipts

/// Holds a provider's token counts against what went through the router: bytes, pieces, and the
/// caller's own bound (routing.md, "Metering"). A pure function; nothing is tokenised.
package struct CountCheck: Sendable {
    /// Whether counts can be true.
    package enum Verdict: Sendable, Equatable {
        case possible
        /// More than the kind allows, or fewer than came.
        case impossible(Rule, limit: Int64, got: Int64)
    }

    /// What they break.
    package enum Rule: String, Sendable, CaseIterable {
        /// Parts that are more than their whole, or numbers out of all range.
        case parts
        /// More generated than the caller allowed.
        case maxTokens = "max_tokens"
        /// More generated than there are bytes of it.
        case bytes
        /// Fewer generated than pieces with content came.
        case chunks
        /// A longer prompt than there are bytes of it.
        case request
    }

    /// Bytes of the request's body, and whether it refers to what is not in it, as images by
    /// address.
    package var requestBytes: Int64
    package var hasReferences: Bool
    package var maxOutput: Int64?
    /// Pieces of the answer that carried content, and the bytes of that content, text of
    /// reasoning and arguments of tools included.
    package var chunks: Int64
    package var contentBytes: Int64
    /// Tools that the answer calls.
    package var toolCalls: Int64

    /// Tokens that have no text of their own: the end of the turn, and of each of two channels
    /// such as reasoning its beginning and its end, twice over.
    static let silentTokens: Int64 = 8
    /// And those around a tool call, whose syntax is taken off: name, braces and marks.
    static let tokensOfCall: Int64 = 64
    /// Tokens that a template puts around a prompt: the longest known preambles have some 130, and
    /// what it puts around each message is shorter than the JSON around it.
    static let templateTokens: Int64 = 256

    package init(
        requestBytes: Int64, hasReferences: Bool = false, maxOutput: Int64?, chunks: Int64,
        contentBytes: Int64, toolCalls: Int64 = 0
    ) {
        self.requestBytes = requestBytes
        self.hasReferences = hasReferences
        self.maxOutput = maxOutput
        self.chunks = chunks
        self.contentBytes = contentBytes
        self.toolCalls = toolCalls
    }

    /// The first rule that `usage` breaks.
    package func verdict(on usage: Usage) -> Verdict {
        guard usage.isPossible else {
            return .impossible(.parts, limit: Usage.max, got: max(usage.input, usage.output))
        }
        if let maxOutput, usage.output > maxOutput {
            return .impossible(.maxTokens, limit: maxOutput, got: usage.output)
        }
        // A token has a byte at least, whatever the script: those of a character are split by
        // bytes. Reasoning that the provider keeps to itself has none here.
        let most =
            contentBytes + CountCheck.silentTokens + toolCalls * CountCheck.tokensOfCall
        let shown = usage.output - usage.reasoning
        if shown > most { return .impossible(.bytes, limit: most, got: shown) }
        if usage.output < chunks { return .impossible(.chunks, limit: chunks, got: usage.output) }
        let longest = requestBytes + CountCheck.templateTokens
        if !hasReferences, usage.input > longest {
            return .impossible(.request, limit: longest, got: usage.input)
        }
        return .possible
    }
}

/// Compares how many tokens providers count for the same bytes: with the same weights there is the
/// same tokeniser, so that over many requests they count alike. It sees what `CountCheck` cannot,
/// a count that is possible and still too large.
package enum CountConsensus {
    /// Providers that are compared at least: of three, one may lie.
    static let minPeers = 3

    /// For each of these, which have the same weights, how many times as many tokens as the middle
    /// one it counts for the same bytes: 65,536ths, from 65,536 on. As long as most are honest,
    /// the middle one is.
    package static func inflation(of reputations: [Reputation]) -> [Int64] {
        let unit = Decision.Measures.unit
        let densities = reputations.map(\.density)
        let known = densities.compactMap { $0 }
        guard known.count >= minPeers else { return reputations.map { _ in unit } }
        let input = known.map(\.input).sorted()[(known.count - 1) / 2]
        let output = known.map(\.output).sorted()[(known.count - 1) / 2]
        guard input > 0, output > 0 else { return reputations.map { _ in unit } }
        return densities.map { density in
            guard let density else { return unit }
            let ratio = max(density.input * unit / input, density.output * unit / output)
            return min(max(unit, ratio), unit * Decision.Measures.maxFactor)
        }
    }
}
