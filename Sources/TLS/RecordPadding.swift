internal import COpenSSL

/// Whether the records of a connection are padded, so that their sizes tell little of what is in
/// them (`protocol.md`, Token side channel; RFC 8446 section 5.4).
public enum RecordPadding: Sendable, Equatable {
    /// Each record is as long as what it carries.
    case off
    /// To whole blocks where the protocol can: TLS 1.2 has no padding.
    case offered
    /// To whole blocks on every connection: TLS 1.3 alone.
    case demanded

    /// Bytes of a block, a power of two: a token's event, 200 to 300 bytes of a chat completion,
    /// takes one or two, and is no packet more for it.
    static let block = 256

    /// Bytes of zeros for a record of `count` bytes, its type included.
    ///
    /// Application data alone: the answers to KeyUpdate and the alerts stay as small as
    /// `RecordIO.spillCapacity` counts them, and nobody's words are in them. OpenSSL takes no more
    /// than fills a record of 2^14 bytes, type and padding included, so a padded record is at most
    /// one byte shorter than the longest one without (2^14 and its type), and a buffer that has
    /// room for that one has room for it: 5 + 2^14 + 1 + 16 = 16,406 of `BufferPool.bufferSize`.
    static let callback:
        @convention(c) (OpaquePointer?, Int32, Int, UnsafeMutableRawPointer?) -> Int = {
            _, type, count, _ in
            type == SSL3_RT_APPLICATION_DATA ? (0 &- count) & (block &- 1) : 0
        }
}
