internal import Glibc

/// A bounded slab of equal buffers for one event loop; not thread-safe, and never grows.
///
/// The slab is one anonymous mapping: pages that no buffer has touched cost nothing, so the bound
/// can be the worst case that an operator accepts rather than the usual load. An exhausted pool
/// answers `nil`, which means "stop reading", never "allocate".
@safe public final class BufferPool {
    /// Bytes in each buffer: one TLS 1.3 record as it travels, RFC 8446 section 5.2
    /// (2^14 plaintext + 256 expansion + 5 header = 16,645), rounded up to 1 KiB. Padding is inside
    /// the plaintext's 2^14 (section 5.4), so a padded record takes no more.
    public static let bufferSize = 17 * 1024

    /// Bytes of plaintext that one TLS record can carry, RFC 8446 section 5.1.
    public static let plaintextSize = 16 * 1024

    /// Buffers that reading may not take, so that what was read can be worked on: one to decrypt
    /// into, one to encrypt into and one for a message of this side, twice over; half of a slab
    /// that is smaller than that.
    private var reserve: Int { min(6, capacity / 2) }

    /// The number of buffers in the slab.
    public let capacity: Int

    /// The number of buffers not lent at this moment.
    public var available: Int { unlent }

    /// The smallest value that `available` has had.
    public var lowWater: Int { fewest }

    // Private, and what uses them not inlinable, so that the compiler proves by itself that nothing
    // reads them while they change: a check of that at run time costs more than a call.
    private var unlent: Int
    private var fewest: Int

    private let slab: UnsafeMutableRawPointer
    private let free: UnsafeMutablePointer<UInt32>

    /// Reserves address space for `capacity` buffers.
    public init(capacity: Int) {
        precondition(capacity > 0 && capacity < Int(UInt32.max), "a pool needs a sane capacity")
        let length = capacity * BufferPool.bufferSize
        let mapping = unsafe mmap(
            nil,
            length,
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
            -1,
            0
        )
        guard let mapping = unsafe mapping, unsafe mapping != MAP_FAILED else {
            fatalError("cannot reserve \(length) bytes of buffers")
        }
        unsafe slab = mapping
        unsafe free = .allocate(capacity: capacity)
        // Lowest index on top, so that a lightly loaded process touches few pages.
        for index in 0..<capacity {
            unsafe free[index] = UInt32(capacity - 1 - index)
        }
        self.capacity = capacity
        unlent = capacity
        fewest = capacity
    }

    deinit {
        precondition(available == capacity, "buffers outlive their pool")
        unsafe free.deallocate()
        unsafe munmap(slab, capacity * BufferPool.bufferSize)
    }

    /// Lends one empty buffer, or `nil` when all are lent.
    @inline(never)
    public func lend() -> Buffer? {
        guard unlent > 0 else { return nil }
        unlent &-= 1
        if unlent < fewest { fewest = unlent }
        let index = unsafe Int(free[unlent])
        return unsafe Buffer(
            base: slab + index * BufferPool.bufferSize,
            pool: .passUnretained(self)
        )
    }

    /// Lends one for bytes that come in, or `nil` when only the reserve is left.
    @inline(never)
    public func lendForReading() -> Buffer? {
        guard unlent > reserve else { return nil }
        return lend()
    }

    /// Lends one for bytes that begin something new, or `nil` when half of the slab is lent: what
    /// was begun can only end, and give its buffers back, while it still gets some itself.
    public func lendForBeginning() -> Buffer? {
        guard unlent > max(reserve, capacity / 2) else { return nil }
        return lend()
    }

    @usableFromInline @inline(never)
    func takeBack(_ base: UnsafeMutableRawPointer) {
        let index = unsafe (base - slab) / BufferPool.bufferSize
        unsafe free[unlent] = UInt32(truncatingIfNeeded: index)
        unlent &+= 1
    }
}
