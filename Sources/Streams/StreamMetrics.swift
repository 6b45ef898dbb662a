internal import Bytes
public import Loop

/// What one loop's connections count; read from any thread.
public final class StreamMetrics: Sendable {
    public let accepted = Counter()
    public let openConnections = Counter()
    public let requests = Counter()
    public let openStreams = Counter()
    public let requestBytes = Counter()
    public let responseBytes = Counter()
    public let responseReads = Counter()
    public let clientAborts = Counter()
    public let upstreamConnects = Counter()
    public let upstreamReuses = Counter()
    public let upstreamFailures = Counter()
    /// Time from a request's head to its answer's first byte.
    public let firstByte = Histogram()
    /// What its sockets cost, admin and upstream connections included.
    public let traffic: LoopTraffic

    /// Begins at zero, for the loop whose traffic that is.
    public init(_ traffic: LoopTraffic) {
        self.traffic = traffic
    }
}

/// A histogram of milliseconds in fixed buckets, as Prometheus reads it.
public final class Histogram: Sendable {
    /// Upper bounds in milliseconds; the last bucket has none.
    public static let bounds: [UInt64] = [
        5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000,
    ]
    private let state = Locked(State())

    private struct State {
        var counts = [UInt64](repeating: 0, count: Histogram.bounds.count + 1)
        var sum: UInt64 = 0
    }

    public init() {}

    /// Adds one observation.
    public func observe(_ milliseconds: UInt64) {
        state.withLock { state in
            let bucket =
                Histogram.bounds.firstIndex { milliseconds <= $0 } ?? Histogram.bounds.count
            state.counts[bucket] += 1
            state.sum += milliseconds
        }
    }

    /// Counts per bucket (not cumulative) and the sum of all observations.
    public var snapshot: (counts: [UInt64], sum: UInt64) {
        state.withLock { ($0.counts, $0.sum) }
    }
}
