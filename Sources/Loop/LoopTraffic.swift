/// What one loop asked of the kernel, and what it made of that; read from any thread.
public final class LoopTraffic: Sendable {
    /// Times that it waited for events.
    public let waits = Counter()
    /// Times that it rested before, so that more would come together.
    public let rests = Counter()
    /// Reads of sockets that brought something.
    public let reads = Counter()
    /// Writes to sockets.
    public let writes = Counter()
    /// TLS records sent, and the bytes that they carried.
    public let records = Counter()
    public let recordBytes = Counter()

    /// Begins at zero.
    public init() {}
}
