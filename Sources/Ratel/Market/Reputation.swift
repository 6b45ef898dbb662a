package import Receipts

/// What is known of a provider from requests that it served and signed for, each a mean in which
/// the newest requests weigh most.
///
/// The times are the router's own: what a provider signs of its speed has no part in it.
package struct Reputation: Sendable, Equatable {
    /// One answer that came, as the router measured it.
    package struct Answer: Sendable, Equatable {
        /// Microseconds to the first token; from then to the last, over one token fewer than came,
        /// or nil for fewer than two.
        package var first: Int64
        package var gap: Int64?
        /// The signed counts, and the bytes that they are said to count.
        package var usage: Usage
        package var requestBytes: Int64
        package var contentBytes: Int64
        /// Whether the counts can be true.
        package var counts: CountCheck.Verdict

        package init(
            first: Int64, gap: Int64?, usage: Usage, requestBytes: Int64, contentBytes: Int64,
            counts: CountCheck.Verdict
        ) {
            self.first = first
            self.gap = gap
            self.usage = usage
            self.requestBytes = requestBytes
            self.contentBytes = contentBytes
            self.counts = counts
        }
    }

    /// Requests that it served or failed; what callers gave up or did wrong is none of its doing.
    package private(set) var facts: Int64 = 0
    private(set) var success = RunningMean()
    private(set) var first = RunningMean()
    private(set) var gap = RunningMean()
    private(set) var disagreement = RunningMean()
    private(set) var lapses = RunningMean()
    private(set) var tokensIn = RunningMean()
    private(set) var bytesIn = RunningMean()
    private(set) var tokensOut = RunningMean()
    private(set) var bytesOut = RunningMean()

    private static let unit = Decision.Measures.unit

    /// Nothing known.
    package init() {}

    /// An answer that is whole.
    package mutating func served(_ answer: Answer) {
        facts += 1
        success.add(Reputation.unit)
        lapses.add(0)
        measure(answer)
    }

    /// An answer that its caller gave up: what came of it was measured, but it is no success.
    package mutating func gaveUp(_ answer: Answer) {
        measure(answer)
    }

    /// An answer that broke off, or none, by the provider's own doing.
    package mutating func failed() {
        facts += 1
        success.add(0)
    }

    /// Its Evidence was not renewed in time, or no longer holds.
    package mutating func lapsed() {
        lapses.add(Reputation.unit)
    }

    private mutating func measure(_ answer: Answer) {
        first.add(answer.first)
        if let time = answer.gap { gap.add(time) }
        disagreement.add(answer.counts == .possible ? 0 : Reputation.unit)
        tokensIn.add(answer.usage.input)
        bytesIn.add(answer.requestBytes)
        tokensOut.add(answer.usage.output - answer.usage.reasoning)
        bytesOut.add(answer.contentBytes)
    }

    /// The part of its requests that it served while its Evidence held; all, where none is known.
    var reliability: Int64 {
        let served = success.count > 0 ? success.value : Reputation.unit
        return served * (Reputation.unit - lapses.value) / Reputation.unit
    }

    /// Tokens that it counts for 65,536 bytes, of requests and of answers; nil where there is too
    /// little to say.
    var density: (input: Int64, output: Int64)? {
        guard facts >= Weighing.minFacts, bytesIn.value > 0, bytesOut.value > 0 else { return nil }
        return (
            tokensIn.value * Reputation.unit / bytesIn.value,
            tokensOut.value * Reputation.unit / bytesOut.value
        )
    }
}

/// A mean with a half-life of 64 values, in whole numbers; of the first values, which are too few
/// for that, the plain mean.
struct RunningMean: Sendable, Equatable {
    /// Values after which one weighs half as much: at 217 requests a second for 50 providers, a
    /// quarter of a minute. Long enough that chance moves a mean by no more than 7 % (`Weighing`),
    /// short enough that a provider that changed is known for it within four half-lives.
    static let halfLife = 64
    /// 1 − 2^(−1/64), in 65,536ths.
    private static let newest: Int64 = 706
    /// The largest value: 2^29 microseconds are nine minutes, 2^29 tokens more than any context.
    static let max: Int64 = 1 << 29

    private(set) var count: Int64 = 0
    /// In 65,536ths: 45 bits, and times a share of 16 bits still below 2^62.
    private var scaled: Int64 = 0

    var value: Int64 { scaled >> 16 }

    mutating func add(_ value: Int64) {
        count += 1
        let share = Swift.max(RunningMean.newest, 65_536 / count)
        let bounded = min(Swift.max(0, value), RunningMean.max) << 16
        scaled += ((bounded - scaled) * share) >> 16
    }
}
