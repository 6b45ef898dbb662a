internal import Bytes
internal import HTTP

/// How far one request is.
struct RequestProgress {
    var method = ""
    var path = ""
    var clientMinorVersion = 1
    var wantsClose = false
    /// The head that goes upstream.
    var forwarded: RequestHead?
    var body = BodyReader(.none)
    /// Bytes of content that it may have.
    var maximumBody = UInt64.max
    /// What was read of the body before its way was known, and how much of that was sent.
    var inspected: [UInt8] = []
    var inspectedSent = 0
    /// The upstream speaks HTTP/2, where bodies have no chunks.
    var dechunks = false
    /// Field lines behind a body that was taken out of its chunks.
    var trailers: [UInt8] = []
    /// Whether its last byte was taken from the caller.
    var isComplete = true
    var started: UInt64 = 0
    var bytes: UInt64 = 0
    var isCounted = false
    /// It was sent on a second stream, and is not sent on a third.
    var isRepeated = false
    /// The body that goes upstream in place of the caller's, kept so that it can go elsewhere.
    var carried: [UInt8] = []

    init() {}

    init(_ head: RequestHead, now: UInt64) {
        method = head.method
        path = head.path
        clientMinorVersion = head.minorVersion
        wantsClose = head.wantsClose || head.minorVersion == 0
        body = BodyReader(head.framing)
        isComplete = body.isFinished
        started = now
    }

    /// Sending it twice has the effect of sending it once (RFC 9110 section 9.2.2), and nothing of
    /// a body is gone.
    var isRepeatable: Bool {
        bytes == 0 && isComplete && !isRepeated
            && (method == "GET" || method == "HEAD" || method == "OPTIONS")
    }
}

/// How far one answer is.
struct AnswerProgress {
    var isHeadSent = false
    /// The caller speaks HTTP/1.0 and cannot read chunks, or HTTP/2 and has no use for them.
    var dechunks = false
    /// Its pieces go out at the loop's ticks.
    var waitsForTicks = false
    /// A tap sees its content, and hands it back changed.
    var isTapped = false
    var isRewritten = false
    /// Its content goes out in chunks of this side's own.
    var rechunks = false
    /// The caller has a head of this side's own, and no upstream has answered yet.
    var isAnnounced = false
    /// What is left to say before it ends, and why it ends before its time.
    var ending: AnswerEnding?
    /// The upstream may carry another request after this answer.
    var isUpstreamReusable = true
    /// The connection to the caller ends after this answer.
    var closes = false
    /// The upstream has ended; what is held is all there is.
    var isUpstreamEnded = false
    /// Of the present read, bytes are left that did not fit behind the head.
    var hasMore = false
    var bytes: UInt64 = 0
    var body = BodyReader(.none)
    var status = 0
    /// Interim answers so far.
    var interims = 0
    /// Field lines behind a body that was taken out of its chunks.
    var trailers: [UInt8] = []
    var firstByte: UInt64?

    /// Heads have no flow control, and a caller may not read: a 102 every 6 s of the 10 minutes
    /// that an answer may take to begin.
    static let maximumInterims = 100
}

/// The end of an answer that is tapped.
struct AnswerEnding {
    var lastWords: [UInt8]
    var sent = 0
    /// Nil where the answer is whole.
    var failure: Failure?
}

extension BodyReader {
    /// Removes the framing in place, keeps the trailer section, and says how many bytes of the
    /// buffer are the body's; what follows the body stands behind them.
    mutating func dechunk(
        _ buffer: inout Buffer, trailers: inout [UInt8]
    ) throws(HTTPRefusal) -> Int {
        var offset = 0
        var kept = 0
        while true {
            let isTrailer = isInTrailers
            let segment = try next(buffer.bytes, from: offset)
            switch segment.kind {
            case .data:
                // Each byte moves once, however many chunks there are.
                buffer.move(offset..<segment.end, downTo: kept)
                kept += segment.end - offset
            case .framing:
                if isTrailer {
                    trailers.append(copying: buffer.bytes.extracting(offset..<segment.end))
                }
            case .end, .needMore:
                let rest = buffer.count - offset
                buffer.move(offset..<buffer.count, downTo: kept)
                buffer.truncate(to: kept + rest)
                return kept
            }
            offset = segment.end
        }
    }
}

extension RequestProgress {
    mutating func dechunk(_ buffer: inout Buffer) throws(HTTPRefusal) -> Int {
        try body.dechunk(&buffer, trailers: &trailers)
    }
}

extension AnswerProgress {
    /// Takes the content out of its framing; what is left of the buffer is that.
    mutating func unframe(_ buffer: inout Buffer) throws(HTTPRefusal) -> Piece {
        let count = try body.dechunk(&buffer, trailers: &trailers)
        if count < buffer.count {
            isUpstreamReusable = false
            buffer.truncate(to: count)
        }
        bytes &+= UInt64(count)
        return Piece(count: count, isLast: body.isFinished, waitsForTick: waitsForTicks)
    }

    /// What one buffer of the upstream's is to the answer.
    struct Piece {
        /// Bytes of it that go to the caller.
        var count: Int
        /// Whether the answer ends with them.
        var isLast: Bool
        /// Whether it goes out at the loop's next tick.
        var waitsForTick: Bool
    }

    /// Passes over one buffer, and takes the framing out where the caller has none.
    ///
    /// In one method, so that a token costs one check of exclusive access.
    mutating func pass(_ buffer: inout Buffer) throws(HTTPRefusal) -> Piece {
        let count =
            dechunks
            ? try body.dechunk(&buffer, trailers: &trailers)
            : try body.skim(buffer.bytes).consumed
        if count < buffer.count {
            // More than the answer came: nobody asked for it, and nobody gets it.
            isUpstreamReusable = false
            buffer.truncate(to: count)
        }
        bytes &+= UInt64(count)
        return Piece(count: count, isLast: body.isFinished, waitsForTick: waitsForTicks)
    }
}
