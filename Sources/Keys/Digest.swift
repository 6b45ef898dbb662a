internal import COpenSSL

/// A SHA-2 hash function, FIPS 180-4.
public enum Digest: String, Sendable, CaseIterable {
    case sha256
    case sha384
    case sha512

    /// The length of the digest in bytes.
    public var size: Int {
        switch self {
        case .sha256: 32
        case .sha384: 48
        case .sha512: 64
        }
    }

    /// The digest of `bytes`, `size` bytes long.
    public func hash(_ bytes: [UInt8]) -> [UInt8] {
        var output = [UInt8](repeating: 0, count: size)
        let done = unsafe EVP_Digest(bytes, bytes.count, &output, nil, algorithm, nil)
        precondition(done == 1, "the library has no \(rawValue)")
        return output
    }

    /// HMAC over `bytes` under `key`, `size` bytes long, RFC 2104.
    public func authenticate(_ bytes: [UInt8], key: [UInt8]) -> [UInt8] {
        var output = [UInt8](repeating: 0, count: size)
        let done = unsafe HMAC(
            algorithm,
            key,
            Int32(key.count),
            bytes,
            bytes.count,
            &output,
            nil
        )
        unsafe precondition(done != nil, "the library has no HMAC with \(rawValue)")
        return output
    }

    /// The 32-byte SHA-256 digest of `bytes`.
    public static func sha256(_ bytes: [UInt8]) -> [UInt8] { Digest.sha256.hash(bytes) }

    /// The 48-byte SHA-384 digest of `bytes`.
    public static func sha384(_ bytes: [UInt8]) -> [UInt8] { Digest.sha384.hash(bytes) }

    /// The 64-byte SHA-512 digest of `bytes`.
    public static func sha512(_ bytes: [UInt8]) -> [UInt8] { Digest.sha512.hash(bytes) }

    @unsafe var algorithm: OpaquePointer? {
        switch self {
        case .sha256: unsafe EVP_sha256()
        case .sha384: unsafe EVP_sha384()
        case .sha512: unsafe EVP_sha512()
        }
    }
}

/// Comparison that takes the same time wherever the bytes differ.
public enum ConstantTime {
    /// Whether both are equal; the time depends on the lengths only.
    public static func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return unsafe CRYPTO_memcmp(left, right, left.count) == 0
    }
}

/// Random bytes from the library's generator.
public enum SecureRandom {
    /// `count` unpredictable bytes; traps when the generator has none to give.
    public static func bytes(_ count: Int) -> [UInt8] {
        var output = [UInt8](repeating: 0, count: count)
        let done = unsafe RAND_bytes(&output, Int32(count))
        precondition(done == 1, "no randomness")
        return output
    }
}
