internal import CUV
internal import Glibc

/// Lets a loop that carries many streams wake up once for the tokens of many: between two passes it
/// rests for at most a fixed time, so that what comes meanwhile is read, encrypted and sent
/// together.
///
/// Waking up is four fifths of what a token costs alone; with 64 streams at 50 tokens/s, three
/// tokens share a wake-up instead. Where few are active nothing ever rests: a lone stream gains
/// nothing from waiting.
struct Gather {
    /// Streams that make it worth while: at the usual pace of 50 tokens/s, three tokens come within
    /// the longest rest, and each waits 2.5 % of its pace on average.
    static let worthwhile = 64
    /// How long a stream counts as active after it moved, a power of two of milliseconds: above the
    /// 50 ms between the tokens of a slow stream (20/s).
    private static let epochBits: UInt64 = 6

    /// Nanoseconds between the begin of two passes; 0 never rests.
    let rest: UInt64
    private var epoch: UInt64 = 0
    private var counted = 0
    private var before = 0
    private var lastPass: UInt64 = 0

    /// `microseconds` is how long a token may be delayed.
    ///
    /// The kernel wakes a sleeper up to 50 µs late (timerslack_ns of prctl(2)); with that the bound
    /// still holds.
    init(microseconds: UInt64) {
        rest = microseconds > 50 ? (microseconds - 50) * 1_000 : 0
    }

    /// Whether a stream that last moved at `last` milliseconds is to be counted again at `now`.
    @inline(__always)
    static func isNewEpoch(_ last: UInt64, _ now: UInt64) -> Bool {
        last >> epochBits != now >> epochBits
    }

    /// Counts one stream that moved, once in each epoch.
    mutating func count(now: UInt64) {
        enter(now)
        counted += 1
    }

    private mutating func enter(_ now: UInt64) {
        let current = now >> Gather.epochBits
        guard current != epoch else { return }
        before = current == epoch &+ 1 ? counted : 0
        counted = 0
        epoch = current
    }

    /// Rests before the loop waits for events, if that serves anyone; says whether it did.
    mutating func restBeforeWait(now: UInt64) -> Bool {
        guard rest > 0, counted + before > 0 else { return false }
        enter(now)
        guard max(counted, before) >= Gather.worthwhile else { return false }
        let time = uv_hrtime()
        let due = lastPass &+ rest
        guard time < due else {
            lastPass = time
            return false
        }
        var pause = timespec(tv_sec: 0, tv_nsec: Int(due - time))
        // A signal that ends it early costs a shorter rest.
        unsafe nanosleep(&pause, nil)
        lastPass = due
        return true
    }
}
