/// What happens later, by time and then by the order in which it was put there: a binary heap.
struct EventQueue<Event> {
    private struct Entry {
        var time: Int64
        var number: Int
        var event: Event

        func precedes(_ other: Entry) -> Bool { (time, number) < (other.time, other.number) }
    }

    private var heap: [Entry] = []
    private var count = 0

    mutating func add(_ event: Event, at time: Int64) {
        heap.append(Entry(time: time, number: count, event: event))
        count += 1
        var index = heap.count - 1
        while index > 0, heap[index].precedes(heap[(index - 1) / 2]) {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    /// The next event that is due at `time` or before.
    mutating func next(until time: Int64) -> (time: Int64, event: Event)? {
        guard let first = heap.first, first.time <= time else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        sink()
        return (first.time, first.event)
    }

    private mutating func sink() {
        var index = 0
        while true {
            let children = [2 * index + 1, 2 * index + 2].filter { $0 < heap.count }
            guard let least = children.min(by: { heap[$0].precedes(heap[$1]) }),
                heap[least].precedes(heap[index])
            else { return }
            heap.swapAt(index, least)
            index = least
        }
    }
}
