internal import Glibc

extension Span where Element == UInt8 {
    /// The first place from `offset` on that holds `byte`; nil where none does.
    @inline(__always)
    public func first(_ byte: UInt8, from offset: Int) -> Int? {
        guard offset < count else { return nil }
        return unsafe withUnsafeBytes { bytes -> Int? in
            guard let base = bytes.baseAddress,
                let found = unsafe memchr(base + offset, Int32(byte), bytes.count - offset)
            else { return nil }
            return unsafe UnsafeRawPointer(found) - base
        }
    }

    /// Whether the bytes at `offset` are those in `range` of `other`.
    @inline(__always)
    public func holds(_ other: Span<UInt8>, _ range: Range<Int>, at offset: Int) -> Bool {
        guard offset >= 0, offset <= count, range.count <= count - offset, range.lowerBound >= 0,
            range.upperBound <= other.count
        else { return false }
        return unsafe withUnsafeBytes { mine in
            unsafe other.withUnsafeBytes { theirs in
                guard let mine = mine.baseAddress, let theirs = theirs.baseAddress else {
                    return range.isEmpty
                }
                return unsafe memcmp(mine + offset, theirs + range.lowerBound, range.count) == 0
            }
        }
    }
}
