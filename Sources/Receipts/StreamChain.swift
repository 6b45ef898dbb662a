internal import Keys

/// A hash over an answer that grows with each event, so that what was sent up to any point has a
/// head of its own: a stream that is cut still has a proof of what came.
///
/// head₀ = SHA-256("ratel/stream/1" ‖ request hash), and for event n, from 1 on,
/// headₙ = SHA-256(headₙ₋₁ ‖ n as 8 bytes, big-endian ‖ SHA-256(event)).
public struct StreamChain: Sendable, Equatable {
    /// The hash over everything so far, 32 bytes.
    public private(set) var head: [UInt8]
    /// How many events it covers.
    public private(set) var count: UInt64

    /// The chain of an answer to the request with this SHA-256.
    public init(request: [UInt8]) {
        precondition(request.count == 32, "a SHA-256")
        head = Digest.sha256(Array("ratel/stream/1".utf8) + request)
        count = 0
    }

    /// Adds one event: the bytes between two event boundaries, or the whole body of an answer that
    /// is no stream.
    public mutating func append(_ event: [UInt8]) {
        append(digest: Digest.sha256(event))
    }

    /// Adds one event by its SHA-256.
    public mutating func append(digest: [UInt8]) {
        precondition(digest.count == 32, "a SHA-256")
        count += 1
        let number = (0..<8).map { UInt8(truncatingIfNeeded: count >> (56 - 8 * UInt64($0))) }
        head = Digest.sha256(head + number + digest)
    }
}
