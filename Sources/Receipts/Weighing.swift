/// How weights follow from measures, in whole numbers alone, so that a router and an auditor get
/// the same (Receipts.md, "The weights").
public enum Weighing {
    /// How a candidate was weighed: its reason.
    public enum Place: String, Sendable, CaseIterable {
        /// Among the best, with a part that falls with the score.
        case band
        /// The one of the band that is likely to have the prompt's beginning in its cache.
        case affinity
        /// Outside of the band: a little, so that it is measured.
        case exploration
        /// Too few facts to be compared by.
        case new
        /// Its counts cannot be relied on.
        case counts
        /// By the caller's `sort` or `order`: the one that is asked, and those after it.
        case first, next
    }

    /// Facts from which on a provider is compared: one that fails a request in ten shows it within
    /// 32 with 97 % (1 − 0.9³²).
    public static let minFacts: Int64 = 32
    /// The band ends at 5/4 of the best score. Means over half-lives of 64 requests weigh some 185
    /// of them (2/α − 1 for α = 1 − 2^(−1/64)); of times that spread as widely as their mean, two
    /// such means differ by 10 % (√(2/185)) with no cause. Twice that, and a quarter, is what
    /// chance alone may do; and a caller never pays more than a quarter over the best for it.
    static let band: (numerator: UInt64, denominator: UInt64) = (5, 4)
    /// One part in 50 of the draw, 2 %, explores: the band's sum over 49 is a fiftieth of both.
    static let exploration: UInt64 = 49
    /// The best score's weight: 512 of them are the largest weight that is read, and one part of
    /// the exploration among as many is still 42,000.
    static let unit: UInt64 = 1 << 31
    /// An answer in 16 with counts that cannot be true, or an eighth more tokens for the same
    /// bytes than others with the same weights count: six such answers in a row, or five standard
    /// errors of such a ratio, whose spread over 185 answers is some 2 %.
    static let maxDisagreement = Decision.Measures.unit / 16
    static let maxInflation = Decision.Measures.unit * 9 / 8
    /// What is behind all that a score can say: scores stay below it.
    static let demotion: UInt64 = 1 << 52

    /// The candidates with their weights and places; those without measures keep their reasons.
    static func weigh(
        _ candidates: [Decision.Candidate], for request: Decision.Request
    ) -> [Decision.Candidate] {
        request.order == .score ? share(candidates, request) : rank(candidates, request)
    }

    // MARK: The first takes all

    private static func rank(
        _ candidates: [Decision.Candidate], _ request: Decision.Request
    ) -> [Decision.Candidate] {
        var weighed = candidates
        var best: (key: UInt64, index: Int)?
        for (index, candidate) in candidates.enumerated() {
            weighed[index].weight = 0
            guard let measures = candidate.measures else { continue }
            weighed[index].reason = Place.next.rawValue
            let key = key(of: measures, request)
            if best.map({ key < $0.key }) ?? true { best = (key, index) }
        }
        if let best {
            weighed[best.index].weight = 1
            weighed[best.index].reason = Place.first.rawValue
        }
        return weighed
    }

    /// What candidates are sorted by, the smallest first.
    static func key(of measures: Decision.Measures, _ request: Decision.Request) -> UInt64 {
        let key: UInt64
        switch request.order {
        case .score: return score(of: measures, request)
        case .order:
            let isNamed = measures.position > 0
            return isNamed ? UInt64(measures.position) : demotion + score(of: measures, request)
        case .price:
            // Of 2^53 and 2^4: 57 bits.
            key = UInt64((UInt128(measures.cost) * UInt128(measures.inflation)) >> 16)
        case .throughput: key = UInt64(measures.gap)
        case .latency: key = UInt64(measures.first)
        }
        let isBehind =
            place(of: measures) != nil || isOver(measures.first, request.first)
            || isOver(measures.gap, request.gap)
        return min(key, demotion - 1) + (isBehind ? demotion : 0)
    }

    private static func isOver(_ measured: Int64, _ limit: Int64) -> Bool {
        limit > 0 && measured > limit
    }

    // MARK: The best share

    private static func share(
        _ candidates: [Decision.Candidate], _ request: Decision.Request
    ) -> [Decision.Candidate] {
        var weighed = candidates
        let scores = candidates.map { $0.measures.map { score(of: $0, request) } ?? 0 }
        var best = UInt64.max
        for (index, candidate) in candidates.enumerated() {
            guard let measures = candidate.measures else { continue }
            if place(of: measures) == nil { best = min(best, scores[index]) }
        }
        for (index, candidate) in candidates.enumerated() {
            weighed[index].weight = 0
            guard let measures = candidate.measures else { continue }
            var found = place(of: measures) ?? .exploration
            if found == .exploration, let weight = bandWeight(scores[index], best) {
                found = candidate.reason == Place.affinity.rawValue ? .affinity : .band
                weighed[index].weight = weight
            }
            weighed[index].reason = found.rawValue
        }
        gather(&weighed)
        explore(&weighed)
        return weighed
    }

    /// Where a provider stands whatever its score; nil where the score decides.
    private static func place(of measures: Decision.Measures) -> Place? {
        if measures.facts < minFacts { return .new }
        let isDoubtful =
            measures.disagreement > maxDisagreement || measures.inflation > maxInflation
        return isDoubtful ? .counts : nil
    }

    /// Expected cost × penalties ÷ success, in 1,024ths of a nano-dollar: 1 to `demotion` − 1.
    ///
    /// A provider is no worse for being slower within the request's limits, and beyond them by as
    /// much as it is over them. What counts more tokens for the same bytes costs as much more.
    static func score(of measures: Decision.Measures, _ request: Decision.Request) -> UInt64 {
        let penalties =
            UInt128(penalty(measures.first, request.first))
            * UInt128(penalty(measures.gap, request.gap)) * UInt128(measures.inflation)
        // Of 2^53, 2^10 and three times 2^20: 123 bits.
        let cost = UInt128(max(1, measures.cost)) << 10
        let score = cost * penalties / (UInt128(max(1, measures.success)) << 32)
        return UInt64(min(max(1, score), UInt128(demotion - 1)))
    }

    /// 1 to 16, in 65,536ths.
    private static func penalty(_ measured: Int64, _ limit: Int64) -> Int64 {
        let unit = Decision.Measures.unit
        guard limit > 0, measured > limit else { return unit }
        guard measured / limit < Decision.Measures.maxFactor else {
            return unit * Decision.Measures.maxFactor
        }
        // A measure is below 2^53.
        return Int64(Int128(measured) * Int128(unit) / Int128(limit))
    }

    /// Falls in a straight line from the best score to the band's end, where there is no step: a
    /// provider that becomes a little better gets a little more. Nil beyond.
    private static func bandWeight(_ score: UInt64, _ best: UInt64) -> UInt64? {
        let (end, place) = (best * band.numerator, score * band.denominator)
        guard place < end else { return nil }
        return max(1, UInt64(UInt128(end - place) * UInt128(unit) / UInt128(best)))
    }

    /// Moves the band's weights to the candidate of affinity, if there is one.
    private static func gather(_ weighed: inout [Decision.Candidate]) {
        guard let preferred = weighed.firstIndex(where: { $0.reason == Place.affinity.rawValue })
        else { return }
        let total = weighed.reduce(0) { $0 + $1.weight }
        for index in weighed.indices where weighed[index].weight > 0 {
            weighed[index].weight = 0
            weighed[index].reason = Place.band.rawValue
        }
        weighed[preferred].weight = total
        weighed[preferred].reason = Place.affinity.rawValue
    }

    /// Gives 2 % to those that have no part yet: half of it to what is new, so that it need not
    /// share with all that are dear. Where there is no band, what is new stands for it, and then
    /// what remains.
    private static func explore(_ weighed: inout [Decision.Candidate]) {
        var (fresh, others): ([Int], [Int]) = ([], [])
        for (index, candidate) in weighed.enumerated() where candidate.measures != nil {
            switch candidate.reason {
            case Place.new.rawValue: fresh.append(index)
            case Place.exploration.rawValue, Place.counts.rawValue: others.append(index)
            default: break
            }
        }
        var total = weighed.reduce(0) { $0 + $1.weight }
        if total == 0 {
            let main = fresh.isEmpty ? others : fresh
            for index in main { weighed[index].weight = unit }
            total = UInt64(main.count) * unit
            if fresh.isEmpty { others = [] } else { fresh = [] }
        }
        let groups = [fresh, others].filter { !$0.isEmpty }
        for group in groups {
            let part = total / (exploration * UInt64(groups.count * group.count))
            for index in group { weighed[index].weight = part }
        }
    }
}
