/// Fixed-size bytes lent from a `BufferPool`, with one readable window `start..<end`.
///
/// Not copyable: whoever holds the value is the only one who can read or write the bytes, and the
/// bytes go back to the pool when the value ends. The pool must outlive its buffers; the loop that
/// owns the pool closes every socket before it goes.
@safe public struct Buffer: ~Copyable {
    /// The first byte of the slot, `BufferPool.bufferSize` bytes long.
    @unsafe public let base: UnsafeMutableRawPointer
    @usableFromInline let pool: Unmanaged<BufferPool>

    @usableFromInline var lower = 0
    @usableFromInline var upper = 0

    /// Offset of the first readable byte.
    @inlinable public var start: Int { lower }
    /// Offset just past the last readable byte.
    @inlinable public var end: Int { upper }

    @inlinable
    init(base: UnsafeMutableRawPointer, pool: Unmanaged<BufferPool>) {
        unsafe self.base = base
        unsafe self.pool = pool
    }

    @inlinable
    deinit {
        unsafe pool._withUnsafeGuaranteedRef { unsafe $0.takeBack(base) }
    }

    /// The number of readable bytes.
    @inlinable
    public var count: Int { end &- start }

    /// Whether nothing is readable.
    @inlinable
    public var isEmpty: Bool { start == end }

    /// The number of bytes that can still be appended behind the window.
    @inlinable
    public var room: Int { BufferPool.bufferSize &- end }

    /// The readable bytes.
    public var bytes: Span<UInt8> {
        @_lifetime(borrow self)
        @inlinable
        get {
            let pointer = unsafe UnsafeRawBufferPointer(start: base + start, count: end &- start)
            let span = unsafe Span<UInt8>(_unsafeBytes: pointer)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// Where the readable bytes begin, for the modules that speak C.
    @unsafe @inlinable
    public var readPointer: UnsafeMutableRawPointer { unsafe base + start }

    /// Where the next byte would be appended, for the modules that speak C.
    @unsafe @inlinable
    public var writePointer: UnsafeMutableRawPointer { unsafe base + end }

    /// Drops `count` bytes from the front of the window.
    @inlinable
    public mutating func consume(_ count: Int) {
        precondition(count >= 0 && count <= end &- start, "consumed more than is readable")
        lower &+= count
        if start == end {
            lower = 0
            upper = 0
        }
    }

    /// Extends the window over `count` bytes that were written at `writePointer`.
    @inlinable
    public mutating func produced(_ count: Int) {
        precondition(count >= 0 && count <= room, "produced more than fits")
        upper &+= count
    }

    /// Keeps the first `count` readable bytes and drops the rest.
    @inlinable
    public mutating func truncate(to count: Int) {
        precondition(count >= 0 && count <= self.count, "truncated to more than is readable")
        upper = lower &+ count
    }

    /// Empties the window.
    @inlinable
    public mutating func clear() {
        lower = 0
        upper = 0
    }

    /// Appends as many of `bytes` as fit and returns how many that was.
    public mutating func append(_ bytes: Span<UInt8>) -> Int {
        let count = min(bytes.count, room)
        unsafe bytes.withUnsafeBytes { source in
            guard count > 0, let from = source.baseAddress else { return }
            unsafe writePointer.copyMemory(from: from, byteCount: count)
        }
        upper &+= count
        return count
    }

    /// Moves the bytes `range` (relative to the window) down to `offset`, over what stands there.
    public mutating func move(_ range: Range<Int>, downTo offset: Int) {
        precondition(
            offset >= 0 && offset <= range.lowerBound && range.upperBound <= count,
            "a range outside the window, or upwards")
        guard offset < range.lowerBound, !range.isEmpty else { return }
        let target = unsafe base + start + offset
        unsafe target.copyMemory(
            from: base + start + range.lowerBound, byteCount: range.count)
    }

    /// Moves the window to the front of the slot, so that `room` is as large as it can be.
    public mutating func compact() {
        guard start > 0 else { return }
        unsafe base.copyMemory(from: base + start, byteCount: count)
        upper &-= start
        lower = 0
    }
}
