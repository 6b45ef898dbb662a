internal import Keys
internal import Receipts
package import Streams

/// How many tokens a request's answers may have at most, whatever engine reads its limits.
package struct OutputBound: Sendable, Equatable {
    /// Answers that it asks for at once, each with the limit of its own.
    package let choices: Int64
    /// Tokens of each; nil where only the model's context bounds them.
    package let each: Int64?

    /// OpenAI's own bound of `n`, and that of `best_of` by far.
    private static let maxChoices: Int64 = 128
    /// What llama.cpp takes before `max_tokens` where it is there.
    private static let others = ["n_predict"]

    /// Reads them. Errors, each a 400: `request.limit.refused`, and `request.member.malformed` for
    /// a number of choices that is none.
    ///
    /// Of several limits engines take one or another, so that the largest counts; some take 0 for
    /// no limit at all.
    package init(_ body: RequestBody, _ path: InferencePath) throws(Failure) {
        guard path != .embeddings else {
            (choices, each) = (1, 0)
            return
        }
        var most: Int64?
        var isBound = true
        for name in path.outputLimits + OutputBound.others {
            guard let value = try body.demand(name) else { continue }
            let isOther = OutputBound.others.contains(name)
            guard let limit = value.integer.map(Int64.init), limit <= Usage.max,
                limit >= 0 || isOther
            else { throw .badLimit }
            if limit <= 0 { isBound = false }
            most = max(most ?? 0, limit)
        }
        each = isBound ? most : nil
        let range = 1...OutputBound.maxChoices
        let own = try body.wholeNumber("n", range) ?? 1
        let best = try body.wholeNumber("best_of", range) ?? 1
        choices = max(own, best) * OutputBound.prompts(body, path)
    }

    /// Prompts that are completed side by side: a list of texts, or of lists of tokens.
    private static func prompts(_ body: RequestBody, _ path: InferencePath) -> Int64 {
        guard path == .completions, let count = body.items("prompt"),
            let first = body.beginningOfItems("prompt"),
            first == UInt8(ascii: "\"") || first == UInt8(ascii: "[")
        else { return 1 }
        return Int64(count)
    }

    /// Tokens of all answers of a model with room for `context` of them in each.
    package func tokens(within context: Int64) -> Int64 {
        let room = max(1, min(context, Usage.max))
        let (sum, isOver) = min(each ?? room, room).multipliedReportingOverflow(by: choices)
        return isOver ? Usage.max : min(sum, Usage.max)
    }

    /// What a caller allowed in all; nil where it set no limit.
    package var limit: Int64? {
        each.map { each in
            let (sum, isOver) = each.multipliedReportingOverflow(by: choices)
            return isOver ? Usage.max : min(sum, Usage.max)
        }
    }
}

extension Failure {
    fileprivate static let badLimit = Failure(
        status: 400, code: "request.limit.refused", message: "the limit of tokens is refused",
        stage: "request", field: "max_tokens", expected: "0 to 2147483648", got: "another number",
        remedy: "write a whole number, or leave it out")
}
