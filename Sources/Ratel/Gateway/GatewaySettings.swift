public import HTTP
public import Loop
public import Streams

/// How a listener and its workers are laid out.
public struct GatewaySettings: Sendable {
    /// Where callers connect.
    public var listen: Address
    /// Threads, each with a loop and a listener of its own.
    public var workers = Worker.processors
    /// Buffers of `BufferPool.bufferSize` that each worker may have in use.
    ///
    /// A stalled stream holds one buffer in each direction, a moving one none between two reads:
    /// 4,096 carry 2,048 stalled streams a worker in 68 MiB, and cost nothing while unused.
    public var buffersPerWorker = 4_096
    /// Connections that each worker accepts: half of Linux's usual 20,000 or more descriptors, as
    /// each may need a second one to its upstream.
    public var maximumConnections = 10_000
    /// How long each kind of waiting may last.
    public var budgets = Budgets()
    /// Caps on heads.
    public var limits = HTTPLimits()
    /// Whether the caller's address is told to the backend (`X-Forwarded-For`, `Forwarded`).
    public var forwardsClientAddress = false
    /// Microseconds that a token may wait for others while many streams are active; 0 for never.
    public var gather: UInt64 = 1_000
    /// What is done against being read by the sizes and times of records.
    public var padding = Padding.records
    /// How long a drain waits for streams to end, in milliseconds.
    public var grace: UInt64 = 30_000
    /// How long connections are still taken once readiness is false, in milliseconds: load
    /// balancers hear of it with a delay.
    public var drainDelay: UInt64 = 0
    /// How long a signal may take after a drain that `GET /drain` asked for, in milliseconds; then
    /// the process ends without one. Whoever asks from a preStop hook sends it once the backend has
    /// ended: an engine gives its memory back in some 45 s, and with a third more it is a minute.
    public var drainEnd: UInt64 = 60_000

    /// The defaults, listening at `listen`.
    public init(listen: Address) {
        self.listen = listen
    }
}
