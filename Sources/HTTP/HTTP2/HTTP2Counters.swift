/// What a peer has cost so far that its requests do not explain.
struct HTTP2Counters {
    /// The loop's milliseconds.
    var now: UInt64 = 0
    private let limits: HTTP2Limits
    private var resets: UInt64
    private var earnedAt: UInt64 = 0
    private var idle = 0
    private var progress = 0

    init(_ limits: HTTP2Limits) {
        self.limits = limits
        resets = limits.resetBurst
    }

    /// Whether every stream that a peer may have open could still be reset.
    var sparesEveryStream: Bool { resets >= UInt64(limits.maximumStreams) }

    /// A stream ended by a reset; the refusal once there were too many.
    mutating func reset() -> HTTP2Error? {
        let earned = (now &- min(now, earnedAt)) * limits.resetsPerSecond / 1_000
        if earned > 0 {
            resets = min(limits.resetBurst, resets + earned)
            // What is short of a whole one is not lost: the other side counts the same.
            earnedAt &+= earned * 1_000 / limits.resetsPerSecond
        }
        guard resets > 0 else {
            return HTTP2Error("streams are reset too often", code: HTTP2Error.enhanceYourCalm)
        }
        resets -= 1
        return nil
    }

    mutating func useful() { progress &+= 1 }

    /// A whole frame came; the refusal once too many of them moved nothing.
    mutating func frame(isUseful: Bool) -> HTTP2Error? {
        if isUseful {
            useful()
            return nil
        }
        idle += 1
        let allowed = limits.idleFrameBurst + progress * limits.idleFramesPerUsefulFrame
        guard idle > allowed else { return nil }
        return HTTP2Error(
            "\(idle) frames that carry nothing forward", code: HTTP2Error.enhanceYourCalm)
    }
}
