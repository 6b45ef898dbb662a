internal import Bytes
internal import CUV

/// The beat of one loop, at which streams that hide their pace send what they have: one for all, so
/// that those of one connection share a record. It stands still while nobody waits.
@safe
final class TickClock {
    /// Milliseconds from one tick to the next (`protocol.md`, Token side channel): two or three
    /// tokens at the usual pace of 50/s, and above it nobody would call it streaming.
    static let period: UInt64 = 50

    private let loop: UnsafeMutablePointer<uv_loop_t>
    private let timer: UnsafeMutablePointer<uv_timer_t>
    private var isRunning = false
    private var waiting: [Borrowed<TickFollower>?] = []
    /// Those of the tick that goes on; who waits again meanwhile waits for the next.
    private var told: [Borrowed<TickFollower>?] = []

    init(loop: UnsafeMutablePointer<uv_loop_t>) {
        unsafe self.loop = loop
        unsafe timer = .allocate(capacity: 1)
        unsafe uv_timer_init(loop, timer)
    }

    deinit {
        unsafe timer.deallocate()
    }

    /// Tells `follower` at the next tick, once.
    func wait(_ follower: TickFollower) {
        guard follower.place < 0 else { return }
        follower.place = waiting.count
        waiting.append(Borrowed(follower))
        if !isRunning { start() }
    }

    /// Does not tell `follower` after all.
    func forget(_ follower: TickFollower) {
        let place = follower.place
        guard place >= 0 else { return }
        follower.place = -1
        if place < waiting.count, waiting[place]?.object === follower {
            waiting[place] = nil
        } else {
            told[place] = nil
        }
    }

    /// Before the loop ends.
    func close() {
        unsafe uv_close(
            UnsafeMutableRawPointer(timer).assumingMemoryBound(to: uv_handle_t.self), nil)
    }

    /// Ticks are multiples of the period on the loop's clock, whenever the first one waits.
    private func start() {
        isRunning = true
        unsafe timer.pointee.data = Unmanaged.passUnretained(self).toOpaque()
        let passed = unsafe uv_now(loop) % TickClock.period
        unsafe uv_timer_start(
            timer,
            { timer in
                unsafe Unmanaged<TickClock>.fromOpaque(timer!.pointee.data)
                    ._withUnsafeGuaranteedRef { $0.tick() }
            }, TickClock.period - passed, 0)
    }

    private func tick() {
        isRunning = false
        swap(&waiting, &told)
        var index = 0
        while index < told.count {
            let next = told[index]
            next?.with { follower in
                follower.place = -1
                follower.didTick()
            }
            index += 1
        }
        told.removeAll(keepingCapacity: true)
    }
}

extension EventLoop {
    /// Tells `follower` at the loop's next tick, once.
    ///
    /// It is not kept alive: who goes before that calls `forgetTick`.
    public func atNextTick(tell follower: TickFollower) { ticks.wait(follower) }

    /// Does not tell `follower` after all.
    public func forgetTick(of follower: TickFollower) { ticks.forget(follower) }
}
