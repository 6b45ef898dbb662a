internal import Receipts

/// What the router saw of one answer itself.
struct MeasuredAnswer: Sendable {
    /// Microseconds to the first token, and from it to the last.
    let first: Int64
    let spread: Int64
    let requestBytes: Int64
    let hasReferences: Bool
    let hasTools: Bool
    let maxOutput: Int64?
    let chunks: Int64
    let contentBytes: Int64
    /// SHA-256 of the request as the provider got it.
    let request: [UInt8]
    /// The head of the chain over what came, how many events that is, and whether it is all.
    let chainHead: [UInt8]
    let events: Int64
    let isWhole: Bool

    /// Whether facts can be those of this answer: of an answer that was given up, its provider may
    /// have sent more than came.
    func fits(_ facts: ServiceFacts) -> Bool {
        let isSame = facts.events == events && facts.chainHead == chainHead
        let isLonger = !isWhole && facts.events > events
        return facts.request == request && (isSame || isLonger || !isWhole && events == 0)
    }

    /// Beside what the provider counted.
    func answer(_ usage: Usage) -> Reputation.Answer {
        let check = CountCheck(
            requestBytes: requestBytes, hasReferences: hasReferences, maxOutput: maxOutput,
            chunks: chunks, contentBytes: contentBytes, toolCalls: hasTools ? chunks : 0)
        return Reputation.Answer(
            first: first, gap: chunks > 1 ? spread / (chunks - 1) : nil,
            usage: usage, requestBytes: requestBytes, contentBytes: contentBytes,
            counts: check.verdict(on: usage))
    }
}
