internal import Streams

/// Builds Prometheus's text format, version 0.0.4.
struct Exposition {
    private(set) var text = ""

    /// Adds lines as they are.
    mutating func add(_ lines: String) { text += lines }

    mutating func counter(_ name: String, _ help: String, _ value: Int) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) counter\n\(name) \(value)\n"
    }

    mutating func gauge(_ name: String, _ help: String, _ value: Int) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) gauge\n\(name) \(value)\n"
    }

    mutating func counters(
        _ name: String, _ help: String, label: String, _ values: [(String, Int)]
    ) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) counter\n"
        for (key, value) in values {
            text += "\(name){\(label)=\(Failure.quoted(key))} \(value)\n"
        }
    }

    mutating func gauges(
        _ name: String, _ help: String, label: String, _ values: [(String, Int)]
    ) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) gauge\n"
        for (key, value) in values {
            text += "\(name){\(label)=\(Failure.quoted(key))} \(value)\n"
        }
    }

    /// Milliseconds inside, seconds outside, as Prometheus wants them.
    mutating func histogram(_ name: String, _ help: String, _ sources: [Histogram]) {
        var counts = [UInt64](repeating: 0, count: Histogram.bounds.count + 1)
        var sum: UInt64 = 0
        for source in sources {
            let snapshot = source.snapshot
            for index in counts.indices { counts[index] += snapshot.counts[index] }
            sum += snapshot.sum
        }
        text += "# HELP \(name) \(help)\n# TYPE \(name) histogram\n"
        var total: UInt64 = 0
        for (index, bound) in Histogram.bounds.enumerated() {
            total += counts[index]
            text += "\(name)_bucket{le=\"\(Exposition.seconds(bound))\"} \(total)\n"
        }
        total += counts[Histogram.bounds.count]
        text += "\(name)_bucket{le=\"+Inf\"} \(total)\n"
        text += "\(name)_sum \(Exposition.seconds(sum))\n\(name)_count \(total)\n"
    }

    private static func seconds(_ milliseconds: UInt64) -> String {
        let rest = String(milliseconds % 1_000)
        let padded = String(repeating: "0", count: 3 - rest.count) + rest
        return "\(milliseconds / 1_000).\(padded)"
    }
}
