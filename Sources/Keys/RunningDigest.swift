internal import COpenSSL

/// A SHA-256 over bytes that come in pieces; it is used again and again without new memory.
///
/// For one thread at a time.
@safe
public final class RunningDigest {
    /// The bytes of a digest.
    public typealias Bytes = InlineArray<32, UInt8>

    /// Of its own, so that no access to it is looked for at run time: this runs for each token.
    private let state = UnsafeMutablePointer<ratel_sha256>.allocate(capacity: 1)

    /// Over no bytes yet.
    public init() {
        unsafe state.initialize(to: ratel_sha256())
        restart()
    }

    deinit { unsafe state.deallocate() }

    /// Forgets what it covers.
    @inline(__always)
    public func restart() { unsafe ratel_sha256_begin(state) }

    /// Covers these bytes as well.
    public func update(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBytes { source in
            unsafe ratel_sha256_add(state, source.baseAddress, source.count)
        }
    }

    /// The digest of everything since the last restart, and restarts.
    public func finish() -> Bytes {
        var output = Bytes(repeating: 0)
        var span = output.mutableSpan
        unsafe span.withUnsafeMutableBufferPointer { target in
            unsafe ratel_sha256_end(state, target.baseAddress)
        }
        restart()
        return output
    }
}

extension InlineArray where Element == UInt8 {
    /// The bytes as an array.
    public var array: [UInt8] { indices.map { self[$0] } }
}
