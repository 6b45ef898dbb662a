public import Bytes
internal import HTTP
internal import Loop

/// A tap on a stream of events (WHATWG HTML section 9.2): sees each event whole, however reads cut
/// it, and may drop it or cut a piece out of it.
///
/// Events that came whole in one read are looked at where they lie; the rest is kept until its end
/// comes.
open class EventTap: AnswerTap {
    /// What becomes of one event.
    public enum Verdict: Sendable {
        case keep
        case drop
        /// These bytes of it, which lie within it, are left out.
        case cut(Range<Int>)
    }

    /// An event whose end has not come.
    private final var partial: [UInt8] = []
    /// What goes out, where it did not fit in place.
    private final var waiting: [UInt8] = []
    private final var waitingUsed = 0
    private final var boundary = EventBoundary()
    /// When the present read came, in nanoseconds since boot: one look at the clock for all of its
    /// events.
    public private(set) final var readAt: UInt64 = 0
    /// An event was longer than is kept.
    private final var isTooLong = false

    /// Bytes of one event: a picture in a tool's arguments, or the whole text that some APIs send
    /// at the end, of a million tokens at a byte each.
    public static let maxEvent = 1 << 20

    /// One event, in `range` of `bytes`, with the empty line that ends it.
    open func event(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Verdict { .keep }

    public final override var trouble: Failure? { isTooLong ? .longEvent : nil }

    /// Whether what went out ends where an event does.
    public final var isAtBoundary: Bool { partial.isEmpty && !hasMore }

    /// Bytes of an event that was begun and did not end.
    public final var remainder: [UInt8] { partial }

    public final override func rewrite(_ content: consuming Buffer) -> Buffer? {
        readAt = System.uptime
        var buffer = content
        var start = 0
        if !partial.isEmpty || hasMore {
            start = joinPartial(buffer.bytes)
            // In order: what lies in place goes behind what waits.
            if hasMore {
                takeApart(buffer.bytes, from: start)
                return nil
            }
        }
        // Its own copy, as it is asked for each event.
        var boundary = boundary
        defer { self.boundary = boundary }
        var kept = 0
        var index = start
        while let end = boundary.next(in: buffer.bytes, from: index) {
            let range = start..<end
            switch event(buffer.bytes, range) {
            case .keep:
                buffer.move(range, downTo: kept)
                kept += range.count
            case .drop: break
            case .cut(let hole):
                let (head, tail) = (start..<hole.lowerBound, hole.upperBound..<end)
                buffer.move(head, downTo: kept)
                kept += head.count
                buffer.move(tail, downTo: kept)
                kept += tail.count
            }
            start = end
            index = end
        }
        if start < buffer.count { keep(buffer.bytes.extracting(start..<buffer.count)) }
        buffer.truncate(to: kept)
        return buffer
    }

    /// Ends the event that was begun, if its end is here; answers where the next begins.
    private final func joinPartial(_ bytes: Span<UInt8>) -> Int {
        guard !partial.isEmpty else { return 0 }
        guard let end = boundary.next(in: bytes, from: 0) else {
            keep(bytes)
            return bytes.count
        }
        keep(bytes.extracting(0..<end))
        finishPartial()
        return end
    }

    private final func finishPartial() {
        let whole = partial
        partial.removeAll(keepingCapacity: true)
        queue(whole.span, 0..<whole.count)
    }

    /// Handles the events that lie behind what waits.
    private final func takeApart(_ bytes: Span<UInt8>, from first: Int) {
        var start = first
        while let end = boundary.next(in: bytes, from: start) {
            queue(bytes, start..<end)
            start = end
        }
        if start < bytes.count { keep(bytes.extracting(start..<bytes.count)) }
    }

    private final func queue(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        switch event(bytes, range) {
        case .keep: append(bytes, range)
        case .drop: break
        case .cut(let hole):
            append(bytes, range.lowerBound..<hole.lowerBound)
            append(bytes, hole.upperBound..<range.upperBound)
        }
    }

    private final func append(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        waiting.append(copying: bytes.extracting(range))
    }

    private final func keep(_ bytes: Span<UInt8>) {
        guard partial.count + bytes.count <= EventTap.maxEvent else {
            isTooLong = true
            return
        }
        partial.append(copying: bytes)
    }

    public final override var hasMore: Bool { waitingUsed < waiting.count }

    public final override func fill(_ buffer: inout Buffer, atMost limit: Int) {
        let end = min(waiting.count, waitingUsed + limit)
        _ = buffer.append(waiting.span.extracting(waitingUsed..<end))
        waitingUsed = end
        guard !hasMore else { return }
        waiting.removeAll(keepingCapacity: true)
        waitingUsed = 0
    }
}

extension Failure {
    fileprivate static let longEvent = Failure(
        status: 502, code: "upstream.event_too_long",
        message: "the upstream sent an event that is too long", stage: "response",
        expected: "at most \(EventTap.maxEvent) bytes", got: "more")
}

/// Finds where events end: behind an empty line. Keeps its place between reads.
///
/// Lines end with LF, or CR LF; no engine ends them with CR alone, which is taken for text.
public struct EventBoundary: Sendable {
    /// Whether the present line has no byte yet, and whether the event has a line.
    private var isLineEmpty = true
    private var hasLine = false

    /// At the beginning of a stream.
    public init() {}

    /// Where the event ends that goes on at `offset`; nil where its end is not here.
    public mutating func next(in bytes: Span<UInt8>, from offset: Int) -> Int? {
        var index = offset
        while let end = bytes.first(0x0A, from: index) {
            if !isBlank(bytes, index..<end) { isLineEmpty = false }
            index = end &+ 1
            if isLineEmpty, hasLine {
                hasLine = false
                return index
            }
            if !isLineEmpty { hasLine = true }
            isLineEmpty = true
        }
        if !isBlank(bytes, index..<bytes.count) { isLineEmpty = false }
        return nil
    }

    /// Whether there is nothing but what may stand before a line's end.
    @inline(__always)
    private func isBlank(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        for index in range where bytes[index] != 0x0D { return false }
        return true
    }
}
