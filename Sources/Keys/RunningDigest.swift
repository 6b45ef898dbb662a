internal import COpenSSL

/// A SHA-256 over bytes that come in pieces; it is used again and again without new memory.
///
/// For one thread at a time.
@safe
public final class RunningDigest {
    /// The bytes of a digest.
    public typealias Bytes = InlineArray<32, UInt8>

    private let context: OpaquePointer
    /// One lookup for all digests, as `EVP_sha256()` would do one for each (crypto(7)).
    private static let algorithm = Algorithm()

    @safe
    private final class Algorithm: @unchecked Sendable {
        // Immutable once fetched.
        let handle: OpaquePointer

        init() {
            guard let found = unsafe EVP_MD_fetch(nil, "SHA2-256", nil) else {
                preconditionFailure("the library has no SHA-256")
            }
            unsafe handle = found
        }
    }

    /// Over no bytes yet.
    public init() {
        guard let made = unsafe EVP_MD_CTX_new() else { preconditionFailure("no memory") }
        unsafe context = made
        restart()
    }

    deinit { unsafe EVP_MD_CTX_free(context) }

    /// Forgets what it covers.
    public func restart() {
        let done = unsafe EVP_DigestInit_ex2(context, RunningDigest.algorithm.handle, nil)
        precondition(done == 1, "the library has no SHA-256")
    }

    /// Covers these bytes as well.
    public func update(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBufferPointer { source in
            let done = unsafe EVP_DigestUpdate(context, source.baseAddress, source.count)
            precondition(done == 1, "SHA-256 failed")
        }
    }

    /// The digest of everything since the last restart, and restarts.
    public func finish() -> Bytes {
        var output = Bytes(repeating: 0)
        var span = output.mutableSpan
        unsafe span.withUnsafeMutableBufferPointer { target in
            let done = unsafe EVP_DigestFinal_ex(context, target.baseAddress, nil)
            precondition(done == 1, "SHA-256 failed")
        }
        restart()
        return output
    }
}

extension InlineArray where Element == UInt8 {
    /// The bytes as an array.
    public var array: [UInt8] { indices.map { self[$0] } }
}
