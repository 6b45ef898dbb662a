/// The sizes past which a message is refused.
public struct HTTPLimits: Sendable, Equatable {
    /// Bytes of a head, from its first byte to its empty line's LF.
    ///
    /// 2^14: the plaintext of one TLS record (RFC 8446 section 5.1), so a head always fits into one
    /// pool buffer. The largest head among the recorded clients is under 1 KiB; Node refuses past
    /// the same size, nginx and Apache past 8 KiB a line.
    public var maxHeadBytes = 16 * 1024

    /// Bytes of a request target: 8,000, the least that RFC 9112 section 3 recommends.
    public var maxTargetBytes = 8000

    /// Field lines in a head: 100, Apache's limit; the recorded clients send under 20.
    public var maxFields = 100

    /// The limits that this type documents.
    public init() {}

    /// Bytes of a method: the longest registered one has 17 (UPDATEREDIRECTREF); a power of two.
    static let maxMethodBytes = 32

    /// Bytes of a request line: method, space, target, space, `HTTP/1.1`, CRLF.
    var maxRequestLine: Int { HTTPLimits.maxMethodBytes + 1 + maxTargetBytes + 1 + 8 + 2 }

    /// Bytes of a chunk-size line without its CRLF: 16 digits of size (64 bits), and an extension
    /// of a 64-byte name and a value of two SHA-512 digests in hex with quotes, rounded down.
    public static let maxChunkLine = 256

    /// Bytes of a trailer section with its last CRLF: a quarter of a head. Trailers carry a digest
    /// or a count; they pass through and are never kept.
    public static let maxTrailerBytes = 4 * 1024

    /// The largest body length: 2^63 - 1, since peers keep lengths in signed 64-bit integers.
    public static let maxLength = UInt64(Int64.max)
}
