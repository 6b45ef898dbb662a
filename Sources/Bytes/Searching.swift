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
}
