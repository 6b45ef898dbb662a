internal import Keys

/// `StreamChain` for the path of tokens: the same heads, without new memory for each event, and the
/// digest of the whole answer beside them.
///
/// For one thread at a time.
public final class RunningChain {
    private var present: RunningDigest.Bytes
    private let event = RunningDigest()
    private let link = RunningDigest()
    private let whole: RunningDigest?
    /// How many events it covers.
    public private(set) var count: UInt64 = 0

    /// The chain of an answer to the request with this SHA-256.
    public init(request: [UInt8], digestsWhole: Bool = true) {
        whole = digestsWhole ? RunningDigest() : nil
        let first = StreamChain(request: request)
        present = RunningDigest.Bytes { first.head[$0] }
    }

    /// The head over everything so far, 32 bytes.
    public var head: [UInt8] { present.array }

    /// Adds one event: the bytes between two event boundaries.
    public func append(_ bytes: Span<UInt8>) {
        cover(bytes)
        end()
    }

    /// Adds bytes to the event that is under way: an answer that is no stream is one.
    public func cover(_ bytes: Span<UInt8>) {
        event.update(bytes)
        whole?.update(bytes)
    }

    /// Ends the event that is under way.
    public func end() {
        count &+= 1
        let (last, digest) = (present, event.finish())
        // In one piece, which costs one call for each token and not three.
        var input = InlineArray<72, UInt8>(repeating: 0)
        for index in 0..<32 {
            input[index] = last[index]
            input[index + 40] = digest[index]
        }
        for index in 0..<8 {
            input[index + 32] = UInt8(truncatingIfNeeded: count >> (56 - 8 * UInt64(index)))
        }
        link.update(input.span)
        present = link.finish()
    }

    /// The SHA-256 of everything, 32 bytes; nothing may be added afterwards. Empty where that was
    /// not asked for.
    public func response() -> [UInt8] { whole?.finish().array ?? [] }
}
