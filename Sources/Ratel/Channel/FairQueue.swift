/// What waits, by whom it is for: each caller's things in their order, the callers in turn.
struct FairQueue<Element> {
    private var lanes: [(caller: String, waiting: [Element])] = []
    private(set) var count = 0

    /// Puts `element` behind the others of `caller`.
    mutating func append(_ element: Element, of caller: String) {
        count += 1
        if let index = lanes.firstIndex(where: { $0.caller == caller }) {
            lanes[index].waiting.append(element)
        } else {
            lanes.append((caller, [element]))
        }
    }

    /// Takes the oldest of the caller whose turn it is; nil when nothing waits.
    mutating func popFirst() -> Element? {
        guard !lanes.isEmpty else { return nil }
        var lane = lanes.removeFirst()
        let element = lane.waiting.removeFirst()
        count -= 1
        if !lane.waiting.isEmpty { lanes.append(lane) }
        return element
    }

    /// How many wait of `caller`.
    func count(of caller: String) -> Int {
        lanes.first { $0.caller == caller }?.waiting.count ?? 0
    }
}
