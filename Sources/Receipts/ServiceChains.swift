internal import Keys
public import RATS

/// The facts that providers signed, as far as receipts show them, over any number of exports: each
/// once, each naming the one before, and none left out between two others.
///
/// A router writes facts in another order than their provider signed them in, and some of them
/// into the export of the next hour. What follows on each other is kept as one run, so that this
/// grows with the gaps and not with the requests.
public struct ServiceChains: Sendable {
    private struct Run {
        var first: Int64
        var last: Int64
        /// What the first names as the one before, and the digest of the last.
        var previous: [UInt8]
        var digest: [UInt8]
    }

    /// By the key that signed, in the order of their numbers.
    private var runs: [[UInt8]: [Run]] = [:]

    /// None yet.
    public init() {}

    /// Takes the facts that `statement` is; answers what does not add up.
    mutating func add(_ facts: ServiceFacts, _ statement: SignedStatement) -> [Refusal] {
        var known = runs[statement.key, default: []]
        let new = Run(
            first: facts.sequence, last: facts.sequence, previous: facts.previous,
            digest: statement.digest)
        // The first run that does not end before.
        let index = known.partition { $0.last >= facts.sequence }
        guard index == known.count || known[index].first > facts.sequence else {
            return [
                refusal(
                    "audit.service.twice", "service.seq", "each once", "\(facts.sequence)",
                    "one service is billed once")
            ]
        }
        known.insert(new, at: index)
        var findings: [Refusal] = []
        join(&known, index, statement.key, &findings)
        if index > 0 { join(&known, index - 1, statement.key, &findings) }
        runs[statement.key] = known
        return findings
    }

    /// Makes one run of the two at `index` and after it, where they follow on each other.
    private func join(
        _ known: inout [Run], _ index: Int, _ key: [UInt8], _ findings: inout [Refusal]
    ) {
        guard index + 1 < known.count, known[index].last + 1 == known[index + 1].first else {
            return
        }
        let (one, next) = (known[index], known[index + 1])
        if one.digest != next.previous {
            findings.append(
                refusal(
                    "audit.service.chain", "facts \(next.first) of \(Hex.encode(key))",
                    "the digest of the facts before, \(Hex.encode(one.digest))",
                    Hex.encode(next.previous), "ask the provider which of the two it signed"))
        }
        known[index].last = next.last
        known[index].digest = next.digest
        known.remove(at: index + 1)
    }

    /// The facts that are missing between those that are there, once all exports were read.
    public var gaps: [Refusal] {
        runs.sorted { $0.key.lexicographicallyPrecedes($1.key) }.flatMap { key, known in
            zip(known, known.dropFirst()).map { one, next in
                refusal(
                    "audit.service.gap", "facts of \(Hex.encode(key))", "\(one.last + 1)",
                    "\(next.first)",
                    "ask the provider for the facts between: requests that nobody was billed")
            }
        }
    }

    private func refusal(
        _ code: String, _ field: String, _ expected: String, _ got: String, _ remedy: String
    ) -> Refusal {
        Refusal(code, .evidence, field: field, expected: expected, got: got, remedy: remedy)
    }
}

extension Array {
    /// The place of the first element that `isAtOrAfter` holds for; it holds for all behind it.
    fileprivate func partition(_ isAtOrAfter: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if isAtOrAfter(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
